package conformance_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/conformance"
)

// endless answers every connection with a beginning and then with the same octets, until nobody reads them any more. It
// counts what it got rid of.
func endless(t *testing.T, begin, more string) (url string, written *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	written = new(atomic.Int64)
	block := strings.Repeat(more, 1+4096/len(more))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, err := io.WriteString(conn, begin)
				for n := 0; err == nil; written.Add(int64(n)) {
					n, err = io.WriteString(conn, block)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/resource", written
}

// A server that answers without end is given up, and little of what it sends is kept.
func TestEndlessAnswers(t *testing.T) {
	for name, test := range map[string]struct{ begin, more, says string }{
		"a status line":    {"HTTP/1.1 200 ", "a", "does not answer"},
		"a field":          {"HTTP/1.1 200 OK\r\nX: ", "a", "does not answer"},
		"fields":           {"HTTP/1.1 200 OK\r\n", "X: a\r\n", "does not answer"},
		"announcements":    {"", "HTTP/1.1 103 Early Hints\r\n\r\n", "does not answer"},
		"a refusal's body": {"HTTP/1.1 403 Forbidden\r\n\r\n", "a", "refuses a good request"},
		"a chunked body":   {"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			url, written := endless(t, test.begin, test.more)
			o := conformance.Options{URL: url, Issuer: newIssuer(t), WarmUp: -1, Timeout: 20 * time.Second}
			_, err := conformance.RunURL(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), test.says) || len(err.Error()) > 20_000 {
				t.Errorf("%.300v, want one that says %q", err, test.says)
			}
			if n := written.Load(); n > 32<<20 { // what fits into the buffers of a connection is not read
				t.Errorf("%d octets were taken", n)
			}
		})
	}
}

// A server that announces its answer is asked like any other.
func TestEarlyHints(t *testing.T) {
	s := newSubject(t, newIssuer(t), defects{handler: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			next.ServeHTTP(w, r)
		})
	}})
	for _, http2 := range []bool{false, true} {
		o := s.options()
		o.Groups, o.HTTP2 = []string{"ath", "method"}, http2
		if report := run(t, s, o); report.Count[conformance.Pass] < 40 {
			t.Errorf("HTTP/2 %t: %v", http2, report.Count)
		}
	}
}

// The secret of the client goes to the token endpoint over https, and nowhere else.
func TestSecretGoesNowhereElse(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(other.Close)
	for _, code := range []int{301, 302, 303, 307, 308} {
		as := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/token", code)
		}))
		t.Cleanup(as.Close)
		c := conformance.ClientCredentials{TokenEndpoint: as.URL + "/token", ClientID: "suite", Secret: "hunter2",
			Client: as.Client()}
		o := conformance.Options{URL: other.URL + "/resource", Tokens: c.Token}
		if _, err := conformance.RunURL(t.Context(), o); err == nil || !strings.Contains(err.Error(), "the token endpoint answers") {
			t.Errorf("%d: %v", code, err)
		}
	}
	for _, endpoint := range []string{other.URL + "/token", "//token", "", "ftp://login.example.com/token"} {
		c := conformance.ClientCredentials{TokenEndpoint: endpoint, ClientID: "suite", Secret: "hunter2"}
		o := conformance.Options{URL: other.URL + "/resource", Tokens: c.Token}
		if _, err := conformance.RunURL(t.Context(), o); err == nil || !strings.Contains(err.Error(), "TokenEndpoint is no https URL") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

// What a server writes to move a terminal's cursor or to end an XML document is shown, and does nothing.
func TestServersCannotWriteIntoReports(t *testing.T) {
	evil := "\x1b]0;owned\x07\x1b[2J\u202e<script>alert(1)</script>]]>"
	s := newSubject(t, newIssuer(t), defects{handler: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			to := httptest.NewRecorder()
			next.ServeHTTP(to, r)
			if to.Code == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `DPoP error="<script>`+"\u009b2J\u202e"+`"`)
			}
			w.WriteHeader(to.Code)
			_, _ = io.WriteString(w, evil)
		})
	}})
	o := s.options()
	var progress strings.Builder
	o.Groups, o.Progress = []string{"ath"}, &progress
	report, err := conformance.Run(t.Context(), s, o)
	if err != nil || !report.Failed() {
		t.Fatalf("%v, %v", err, report)
	}
	for name, write := range map[string]func(io.Writer) error{
		"table": report.WriteTable, "json": report.WriteJSON, "junit": report.WriteJUnit, "html": report.WriteHTML,
		"progress": func(w io.Writer) error { _, err := io.WriteString(w, progress.String()); return err },
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"\x1b", "\x07", "\u009b", "\u202e"} {
			if strings.Contains(b.String(), bad) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
		if name != "progress" && !strings.Contains(b.String(), `x1b]0;owned`) {
			t.Errorf("%s does not show what the server sent", name)
		}
		if name == "html" && strings.Contains(b.String(), "<script>") {
			t.Error("the page runs what the server sent")
		}
	}
}

// A server whose good answer needs a scope is told what to give.
func TestAdvice(t *testing.T) {
	s := newSubject(t, newIssuer(t), defects{})
	o := s.options()
	o.URL = "/scope"
	if _, err := conformance.Run(t.Context(), s, o); err == nil ||
		!strings.Contains(err.Error(), `--claims '{"scope":"conformance:write"}' and --lacks scopeless`) {
		t.Errorf("%v", err)
	}
	o.Claims, o.Lacks, o.Groups = map[string]any{"scope": "conformance:write"}, []string{"scopeless"}, []string{"ath"}
	run(t, s, o)
}

// Without algs in its challenge a server is asked by no algorithm but ES256.
func TestAlgorithmsUnknown(t *testing.T) {
	d := answer(func(h http.Header, code *int) {
		if *code == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", "DPoP")
		}
	})(t)
	s := newSubject(t, newIssuer(t), d)
	o := s.options()
	o.Profile, o.Only = conformance.Base, []string{"alg-ES256", "alg-RS256", "alg-PS384-not-offered", "alg-ES512-not-offered"}
	report := run(t, s, o)
	if report.Algorithms != nil || report.Count[conformance.Pass] != 1 || report.Count[conformance.Skip] != 3 {
		t.Errorf("%v, %v", report.Algorithms, report.Count)
	}
	o.Algorithms = []string{"ES256", "PS384"}
	if report = run(t, s, o); report.Count[conformance.Skip] != 2 {
		t.Errorf("with algorithms that are given: %v", report.Count)
	}
}
