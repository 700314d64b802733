package cases_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/generate"
	"github.com/senderlock/senderlock/conformance/vectors"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/reason"
)

// The committed files are what the generator makes.
func TestNoDrift(t *testing.T) {
	made := generate.Files("../../requirements.md")
	for _, name := range []string{"cases.json", "static.json", "keys.json"} {
		got, err := vectors.Files().ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, made[name]) {
			t.Errorf("%s is not what the generator makes: run go generate ./conformance/vectors", name)
		}
	}
}

var (
	requirement = regexp.MustCompile(`^RS-(\d{3})$`)
	section     = regexp.MustCompile(`^(RFC \d{4}|FAPI 2\.0 SP) (§\d+(\.\d+)*|Appendix [A-Z])( item \d+)?(, |$)`)
)

// The table is complete: enough cases, enough of them forms that must be accepted, each stated in full and with the
// section of the RFC that it comes from.
func TestCasesAreComplete(t *testing.T) {
	list := cases.All()
	forms, must, warm := 0, 0, 0
	seen := map[string]bool{}
	for _, c := range list {
		if !requirement.MatchString(c.Requirement) || c.Title == "" || c.Group == "" || len(c.Steps) == 0 || c.Rule == "" {
			t.Errorf("%s is incomplete: %+v", c.ID, c)
		}
		if !section.MatchString(c.RFC) {
			t.Errorf("%s names no section: %q", c.ID, c.RFC)
		}
		if strings.ContainsAny(c.Rule+c.Title+c.Leave, "\n\r") {
			t.Errorf("%s: what it says is longer than a line", c.ID)
		}
		switch c.Level {
		case cases.MUST:
			must++
			if c.Leave != "" {
				t.Errorf("%s: a server may do otherwise (%s), and it is a MUST", c.ID, c.Leave)
			}
		case cases.SHOULD, cases.INFO:
		default:
			t.Errorf("%s: level %q", c.ID, c.Level)
		}
		if seen[c.ID] || strings.Contains(c.ID, "@") {
			t.Errorf("%s stands twice, or has the name of a warm form", c.ID)
		}
		seen[c.ID] = true
		if c.Warm {
			warm++
		}
		for n, s := range c.Steps {
			complete(t, fmt.Sprintf("%s step %d", c.ID, n+1), s.Strict, s.Base)
		}
		if c.Steps[len(c.Steps)-1].Strict.Accept && c.Level != cases.INFO {
			forms++
		}
	}
	if len(list) < 1000 || forms < 200 || must < 800 || warm < 500 {
		t.Errorf("%d cases, %d of them accepted forms, %d MUST, %d with a warm form", len(list), forms, must, warm)
	}
	t.Logf("%d cases, %d of them accepted forms, %d MUST, %d with a warm form, %d static proofs", len(list), forms, must,
		warm, len(cases.Statics()))
}

// complete checks that an answer wants something, and that base takes what strict takes.
func complete(t *testing.T, where string, strict, base cases.Answer) {
	t.Helper()
	for profile, a := range map[string]cases.Answer{"strict": strict, "base": base} {
		if !a.Accept && !a.Closed && !a.Any && len(a.Status) == 0 {
			t.Errorf("%s: %s wants nothing", where, profile)
		}
		if a.Accept && (profile == "strict" && len(a.Status) > 0 || slices.Contains(a.Status, 401) || len(a.Error) > 0) {
			t.Errorf("%s: %s wants success and failure", where, profile)
		}
	}
	if strict.Accept != base.Accept || slices.ContainsFunc(strict.Status,
		func(code int) bool { return !slices.Contains(base.Status, code) }) {
		t.Errorf("%s: base is stricter than strict", where)
	}
}

// The static proofs keep their schema.
func TestStaticsKeepTheirSchema(t *testing.T) {
	read := func(name string) (v any) {
		text, err := vectors.Files().ReadFile(name)
		if err == nil {
			err = json.Unmarshal(text, &v)
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	schema, _ := read("static.schema.json").(map[string]any)
	for _, problem := range violations("", schema, read("static.json")) {
		t.Error(problem)
	}
	// The schema refuses what it should.
	broken := map[string]any{"version": "2.0", "more": 1.0, "vectors": []any{map[string]any{"clock": "x", "level": "INFO"}}}
	if got := len(violations("", schema, broken)); got < 12 {
		t.Errorf("the schema finds %d problems in what has nothing right", got)
	}
}

// violations are what a value has against a schema of the keywords that ours uses.
func violations(path string, schema map[string]any, value any) (list []string) {
	say := func(format string, args ...any) { list = append(list, path+": "+fmt.Sprintf(format, args...)) }
	switch schema["type"] {
	case "object":
		object, ok := value.(map[string]any)
		if !ok {
			say("no object")
			return list
		}
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := object[name.(string)]; !ok {
				say("%s is missing", name)
			}
		}
		for name, member := range object {
			if property, ok := properties[name].(map[string]any); ok {
				list = append(list, violations(path+"/"+name, property, member)...)
			} else {
				say("%s is not in the schema", name)
			}
		}
	case "array":
		items, _ := schema["items"].(map[string]any)
		array, ok := value.([]any)
		if !ok {
			say("no array")
		}
		for i, item := range array {
			list = append(list, violations(fmt.Sprintf("%s/%d", path, i), items, item)...)
		}
	case "string":
		text, ok := value.(string)
		pattern, _ := schema["pattern"].(string)
		if !ok || !regexp.MustCompile(pattern).MatchString(text) {
			say("%v is no string of the form %q", value, pattern)
		}
	case "integer":
		if n, ok := value.(float64); !ok || n != float64(int64(n)) {
			say("%v is no integer", value)
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			say("%v is neither true nor false", value)
		}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, value) {
		say("%v is none of %v", value, enum)
	}
	return list
}

// Every static proof gets its verdict, and for its reason.
func TestStaticsThroughTheVerifier(t *testing.T) {
	for _, s := range cases.Statics() {
		t.Run(s.ID, func(t *testing.T) {
			verifier, err := dpop.New(dpop.Config{
				Origins: []string{"https://api.example.com"}, InsecureForgetAtStart: true, KnownKeys: 1000,
				Now: func() time.Time { return time.Unix(s.Clock, 0) },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = verifier.Close() }()
			proof, err := verifier.Verify(request(t, &s), s.Token)
			name, accepted := reason.Of(err), err == nil
			if accepted && proof.Thumbprint() != s.Thumbprint {
				accepted, name = false, "key_mismatch"
			}
			switch {
			case accepted != s.Accept:
				t.Errorf("accepted = %t, want %t (%v)", accepted, s.Accept, err)
			case !accepted && s.Reason != "" && name != s.Reason:
				t.Errorf("refused as %q, want %q (%v)", name, s.Reason, err)
			case !accepted && err != nil:
				if _, ok := errors.AsType[*reason.Error](err); !ok {
					t.Errorf("refused with %v, which is not the client's fault", err)
				}
			}
		})
	}
}

// request is the request of a static proof, read as a server reads it.
func request(t *testing.T, s *cases.Static) *http.Request {
	t.Helper()
	rest, ok := strings.CutPrefix(s.URL, "https://api.example.com")
	if !ok {
		t.Fatalf("URL %q", s.URL)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(s.Method + " " + rest + " HTTP/1.1\r\nHost: api.example.com\r\n\r\n")))
	if err != nil {
		r = &http.Request{Method: s.Method, URL: &url.URL{Path: rest}, RequestURI: rest, Host: "api.example.com",
			Header: http.Header{}}
	}
	for _, p := range s.Proofs {
		r.Header.Add("DPoP", strings.Trim(p, " \t"))
	}
	return r
}
