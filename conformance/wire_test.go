package conformance_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// onTheWire serves a subject as a program would: real addresses, real time, TLS where certificates are asked for.
func onTheWire(t *testing.T, changes ...func(*access.Config)) (*subject, conformance.Options) {
	t.Helper()
	s := newSubject(t, newIssuer(t), defects{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, r) })
	plain, secure := httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	secure.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that must fail
	main := "http://" + plain.Listener.Addr().String()
	s.config.Origins = []string{main, "https://" + secure.Listener.Addr().String()}
	for i := range s.config.Issuers {
		s.config.Issuers[i].Audience = main
	}
	s.config.Now = time.Now
	for _, change := range changes {
		change(&s.config)
	}
	s.build(t, defects{})
	plain.Start()
	poptest.StartTLS(t, secure)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	o := s.options()
	o.Now, o.Advance, o.Effects, o.URL, o.InsecureTLS = nil, nil, nil, main+"/resource", true
	o.Endpoints["mtls"] = secure.URL + "/mtls"
	return s, o
}

func failures(r *conformance.Report) string {
	var b strings.Builder
	for _, result := range r.Results {
		if result.Outcome == conformance.Fail {
			b.WriteString(result.ID + ": " + strings.Join(result.Problems, "; ") + "\n")
		}
	}
	return b.String()
}

// Our middleware passes over the network as well, in every profile.
func TestMiddlewareOverTheWire(t *testing.T) {
	for _, profile := range []conformance.Profile{conformance.Strict, conformance.Base, conformance.FAPI2} {
		t.Run(string(profile), func(t *testing.T) {
			_, o := onTheWire(t, func(c *access.Config) {
				if profile == conformance.FAPI2 {
					c.Algorithms = dpop.FAPI2Algorithms
				}
			})
			o.Profile = profile
			report, err := conformance.RunURL(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if report.Failed() || report.Count[conformance.Pass] < 700 {
				t.Errorf("%s passed, %v\n%s", report.Score(), report.Count, failures(report))
			}
			t.Logf("%s, %v", report.Score(), report.Count)
		})
	}
}

// A resource may be the root, may be written without its slash, and may end with one. What then changes nothing of its URL is
// listed as skipped.
func TestResourcesWithoutAName(t *testing.T) {
	for path, test := range map[string]struct{ skipped []string }{
		"": {void}, "/": {void}, "/slash/": {[]string{"htu-double-encoding", "htu-ok-unreserved"}}, "/1": {[]string{"htu-path-case"}},
	} {
		t.Run(path, func(t *testing.T) {
			s, o := onTheWire(t)
			o.URL = strings.TrimSuffix(o.URL, "/resource") + path
			guard, err := access.New(s.config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = guard.Close() })
			s.Handler = guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			o.Groups, o.Endpoints = []string{"uri", "paths", "field", "proxy", "method"}, nil
			report, err := conformance.RunURL(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if report.Failed() || report.Count[conformance.Pass] < 200 {
				t.Errorf("%s passed, %v\n%s", report.Score(), report.Count, failures(report))
			}
			var skipped []string
			for _, r := range report.Results {
				if strings.Contains(r.Why, "changes nothing of the URL") && !strings.Contains(r.ID, "@") {
					skipped = append(skipped, r.ID)
				}
			}
			if slices.Sort(skipped); !slices.Equal(skipped, test.skipped) {
				t.Errorf("skipped as void: %q, want %q", skipped, test.skipped)
			}
		})
	}
}

// void are the cases that change nothing of the root.
var void = []string{"htu-double-encoding", "htu-fullwidth", "htu-no-path", "htu-ok-unreserved", "htu-path-case", "htu-prefix", "htu-root"}

// A server that demands a nonce of every proof is asked with nonces.
func TestNonceInForce(t *testing.T) {
	_, o := onTheWire(t, func(c *access.Config) {
		c.RequireNonce = true
		c.Nonces.Secrets = [][]byte{bytes.Repeat([]byte{7}, dpop.MinNonceSecret)} // the endpoints accept each other's
	})
	o.WarmUp = -1
	report, err := conformance.RunURL(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !report.NonceInForce || report.Failed() || report.Count[conformance.Pass] < 600 {
		t.Errorf("nonce in force: %t, %s passed\n%s", report.NonceInForce, report.Score(), failures(report))
	}
}

// What is shown holds no signature and no opaque token, and every form of output can be read back.
func TestReports(t *testing.T) {
	s := newSubject(t, newIssuer(t), defects{handler: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&changed{ResponseWriter: w, change: func(h http.Header,
				_ *int) {
				h.Del("WWW-Authenticate")
			}}, r)
		})
	}})
	o := s.options()
	o.Lacks = []string{"introspection"}
	o.Groups, o.Profile = []string{"challenge", "ath", "introspection"}, conformance.Base
	var progress bytes.Buffer
	o.Progress = &progress
	report, err := conformance.Run(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Failed() || report.Count[conformance.Warn] == 0 || report.Count[conformance.Skip] == 0 {
		t.Fatalf("want failures, warnings and skips: %v", report.Count)
	}
	if !strings.Contains(progress.String(), "challenge-dpop") {
		t.Errorf("progress does not name the failure:\n%s", &progress)
	}
	out := map[string]string{}
	for name, write := range map[string]func(io.Writer) error{
		"table": report.WriteTable, "json": report.WriteJSON, "junit": report.WriteJUnit, "html": report.WriteHTML,
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		out[name] = b.String()
		for _, text := range []string{"challenge-dpop", "RS-042"} {
			if !strings.Contains(b.String(), text) {
				t.Errorf("%s does not hold %q", name, text)
			}
		}
	}
	for _, result := range report.Results {
		for _, e := range result.Exchanges {
			for word := range strings.FieldsSeq(e.Request) {
				if parts := strings.Split(word, "."); len(parts) == 3 && strings.HasPrefix(word, "eyJ") &&
					!strings.HasSuffix(word, "…") {
					t.Errorf("%s shows a signature: %s", result.ID, word)
				}
			}
		}
	}
	inOrder(t, "table", out["table"], "Not asked\n", "the server lacks introspection: without it in --lacks it is asked",
		"Notes: ", "Warnings\n", "Failures\n", "challenge-dpop: no credentials", "a good request", "cases passed in profile base, ")
	inOrder(t, "html", out["html"], " of ", `id="failures"`, `id="fail-challenge"`, `id="case-challenge-dpop"`,
		`<span class="mark">≠</span>`, `id="warnings"`, "By topic", `href="#fail-challenge"`, "Not asked",
		"the server lacks introspection", "Passed", "refused, as wanted · RFC 9449")
	var again conformance.Report
	if err := json.Unmarshal([]byte(out["json"]), &again); err != nil || len(again.Results) != len(report.Results) {
		t.Errorf("JSON: %v", err)
	}
	var junit struct {
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Time  string `xml:"time,attr"`
			Cases []struct {
				Failure *struct{} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(out["junit"]), &junit); err != nil ||
		junit.Failures != report.Count[conformance.Fail] {
		t.Errorf("JUnit: %v, %d failures", err, junit.Failures)
	}
	for _, suite := range junit.Suites {
		if _, err := strconv.ParseFloat(suite.Time, 64); err != nil {
			t.Errorf("JUnit: a suite without its time: %v", err)
		}
	}
	if file := os.Getenv("SENDERLOCK_REPORT"); file != "" {
		if err := os.WriteFile(file, []byte(out["html"]), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// inOrder wants the texts one behind the other.
func inOrder(t *testing.T, where, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		_, rest, ok := strings.Cut(text, part)
		if !ok {
			t.Errorf("%s: %q is missing or stands too early", where, part)
			return
		}
		text = rest
	}
}

// Wrong settings are refused before anything is sent.
func TestOptions(t *testing.T) {
	issuer := newIssuer(t)
	for name, test := range map[string]struct {
		change func(*conformance.Options)
		says   string
	}{
		"no URL":          {func(o *conformance.Options) { o.URL = "" }, "URL is empty"},
		"no absolute URL": {func(o *conformance.Options) { o.URL = "/x" }, "give an http or https URL"},
		"no issuer":       {func(o *conformance.Options) { o.Issuer = nil }, "set one of Issuer and Tokens"},
		"unknown profile": {func(o *conformance.Options) { o.Profile = "x" }, `Profile is "x"`},
		"unknown endpoint": {func(o *conformance.Options) { o.Endpoints = map[string]string{"x": "/x"} },
			`Endpoints has "x"`},
		"nobody there":   {func(o *conformance.Options) { o.URL = "http://127.0.0.1:1/x" }, "does not answer"},
		"another issuer": {func(o *conformance.Options) { o.URL = refusing(t) }, "(--audience and --origin name others"},
	} {
		t.Run(name, func(t *testing.T) {
			o := conformance.Options{URL: "http://127.0.0.1:1/", Issuer: issuer}
			test.change(&o)
			if _, err := conformance.RunURL(t.Context(), o); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

// refusing is a server that trusts somebody else.
func refusing(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/resource"
}

// A misspelt name would ask nothing, or skip nothing, and the run would pass.
func TestUnknownNamesAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*conformance.Options)
		says   string
	}{
		"a group":    {func(o *conformance.Options) { o.Groups = []string{"repaly"} }, `Groups has "repaly": the groups are ath, `},
		"a case":     {func(o *conformance.Options) { o.Only = []string{"htu-prot"} }, `Only has "htu-prot": CASES.md lists`},
		"a claim":    {func(o *conformance.Options) { o.Lacks = []string{"replays"} }, `Lacks has "replays": the names are `},
		"an element": {func(o *conformance.Options) { o.Lacks = []string{"cors", ""} }, `Lacks has ""`},
		"a case of another group": {func(o *conformance.Options) {
			o.Groups, o.Only = []string{"ath"}, []string{"htu-port"}
		}, "Groups and Only leave no case"},
	} {
		t.Run(name, func(t *testing.T) {
			_, o := onTheWire(t)
			test.change(&o)
			if _, err := conformance.RunURL(t.Context(), o); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// README.md says what each name means that --lacks may hold, and no other.
func TestClaimsAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "| `--lacks` |")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented []string
	for line := range strings.Lines(table) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			documented = append(documented, name)
		}
	}
	slices.Sort(documented)
	if !slices.Equal(documented, conformance.Claims()) {
		t.Errorf("README.md has %q, the cases need %q", documented, conformance.Claims())
	}
	_, o := onTheWire(t)
	o.Groups, o.Lacks = []string{"ath"}, documented
	if _, err := conformance.RunURL(t.Context(), o); err != nil {
		t.Error(err)
	}
}

// A server of several processes may give each connection to another of them, which has not seen the proof.
func TestReplayAtAnotherProcess(t *testing.T) {
	s := newSubject(t, newIssuer(t), defects{replay: func(s dpop.ReplayStore) dpop.ReplayStore { return processes{s} }})
	server := httptest.NewUnstartedServer(s)
	var number atomic.Uint32
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, process{}, number.Add(1))
	}
	server.Start()
	t.Cleanup(server.Close)
	o := s.options()
	o.URL, o.Origin, o.Endpoints, o.Groups = server.URL+"/resource", origin, nil, []string{"replay"}
	report, err := conformance.RunURL(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"replay-same", "replay-later", "replay-race"} {
		if !strings.Contains(failures(report), id+": ") {
			t.Errorf("%s did not find it", id)
		}
	}
}

// process is the key of the number of the process that has a connection.
type process struct{}

// processes have a memory each.
type processes struct{ dpop.ReplayStore }

func (p processes) Claim(ctx context.Context, key dpop.ReplayKey, expiry time.Time) (bool, error) {
	number := ctx.Value(process{}).(uint32)
	return p.ReplayStore.Claim(ctx, sha256.Sum256(binary.BigEndian.AppendUint32(key[:], number)), expiry)
}

// A terminal shows the first failures in full and names the others, so that a server that fails everything can be read about.
func TestManyFailures(t *testing.T) {
	report := &conformance.Report{}
	for i := range 23 {
		report.Results = append(report.Results, conformance.Result{
			ID: "case-" + strconv.Itoa(i+1), Title: "a title", Outcome: conformance.Fail, Requirement: "RS-001", Problems: []string{"a problem"},
		})
	}
	var out strings.Builder
	if err := report.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	inOrder(t, "table", out.String(), "\ncase-1: a title", "\ncase-20: a title", "\n3 more, in full by --html, --json or --only NAME\n",
		"  RS-001  case-21: a title: a problem\n", "case-23: a title")
	if strings.Contains(out.String(), "\ncase-21") {
		t.Errorf("the last are in full as well:\n%s", &out)
	}
}
