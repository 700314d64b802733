package vectors_test

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/conformance/vectors"
	"github.com/senderlock/senderlock/dpop"
)

// The committed files are what the generator makes.
func TestNoDrift(t *testing.T) {
	folder := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "run", "../internal/generate", "-o", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("the generator: %v\n%s", err, out)
	}
	for _, name := range []string{"cases.json", "static.json", "keys.json"} {
		want, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := vectors.Files().ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes: run go generate ./conformance/vectors", name)
		}
	}
}

var requirement = regexp.MustCompile(`^RS-(\d{3})$`)

// The table is complete: enough cases, enough of them forms that must be accepted, each stated in full.
func TestCasesAreComplete(t *testing.T) {
	cases := vectors.Cases()
	forms := 0
	seen := map[string]bool{}
	for _, c := range cases {
		if !requirement.MatchString(c.Requirement) || c.Title == "" || c.Group == "" || len(c.Steps) == 0 {
			t.Errorf("%s is incomplete: %+v", c.ID, c)
		}
		if !slices.Contains([]string{vectors.MUST, vectors.SHOULD, vectors.INFO}, c.Level) {
			t.Errorf("%s: level %q", c.ID, c.Level)
		}
		if seen[c.ID] {
			t.Errorf("%s stands twice", c.ID)
		}
		seen[c.ID] = true
		for n, s := range c.Steps {
			for profile, a := range map[string]vectors.Answer{"strict": s.Strict, "base": s.Base} {
				if !a.Accept && !a.Closed && len(a.Status) == 0 {
					t.Errorf("%s step %d: %s wants nothing", c.ID, n+1, profile)
				}
				if a.Accept && (len(a.Status) > 0 || len(a.Error) > 0) {
					t.Errorf("%s step %d: %s wants success and failure", c.ID, n+1, profile)
				}
			}
			// What strict takes, base takes as well.
			if s.Strict.Accept != s.Base.Accept || slices.ContainsFunc(s.Strict.Status,
				func(code int) bool { return !slices.Contains(s.Base.Status, code) }) {
				t.Errorf("%s step %d: base is stricter than strict", c.ID, n+1)
			}
		}
		if c.Steps[len(c.Steps)-1].Strict.Accept && c.Level != vectors.INFO {
			forms++
		}
	}
	if len(cases) < 300 || forms < 60 {
		t.Errorf("%d cases, %d of them accepted forms; want 300 and 60", len(cases), forms)
	}
	t.Logf("%d cases, %d of them accepted forms, %d static proofs", len(cases), forms, len(vectors.Statics()))
}

// Every static proof gets its verdict, and for its reason.
func TestStaticsThroughTheVerifier(t *testing.T) {
	for _, s := range vectors.Statics() {
		t.Run(s.ID, func(t *testing.T) {
			verifier, err := dpop.New(dpop.Config{
				Origins: []string{"https://api.example.com"}, InsecureForgetAtStart: true,
				Now: func() time.Time { return time.Unix(s.Clock, 0) },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = verifier.Close() }()
			proof, err := verifier.Verify(request(t, &s), s.Token)
			reason, accepted := dpop.Reason(err), err == nil
			if accepted && proof.Thumbprint() != s.Thumbprint {
				accepted, reason = false, "key_mismatch"
			}
			switch {
			case accepted != s.Accept:
				t.Errorf("accepted = %t, want %t (%v)", accepted, s.Accept, err)
			case !accepted && s.Reason != "" && reason != s.Reason:
				t.Errorf("refused as %q, want %q (%v)", reason, s.Reason, err)
			case !accepted && err != nil:
				if _, ok := errors.AsType[*dpop.Error](err); !ok {
					t.Errorf("refused with %v, which is not the client's fault", err)
				}
			}
		})
	}
}

// request is the request of a static proof, read as a server reads it.
func request(t *testing.T, s *vectors.Static) *http.Request {
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
