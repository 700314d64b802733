package access_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// asRead is a request as net/http reads it from a connection.
func asRead(method, target string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Host = strings.TrimPrefix(poptest.Audience, "https://")
	return r
}

// prove signs a request for a method and a path.
func prove(r *http.Request, method, path string) *http.Request {
	token := bound()
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", poptest.Proof{Token: token, Method: method, URL: poptest.Audience + path}.String())
	return r
}

// rewriting is what stands in front of a Guard in frameworks: it sets the path, as it was decoded, and sometimes the
// target.
func rewriting(path func(string) string, targetToo bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = path(r.URL.Path)
			if targetToo {
				r.RequestURI = r.URL.Path
			}
			next.ServeHTTP(w, r)
		})
	}
}

// The method and the target that came over the wire are those that a proof speaks of, whatever has been made of them
// since: with Capture in front an honest proof is accepted, and without it no other is.
func TestRewrittenRequests(t *testing.T) {
	addSlash := rewriting(func(p string) string { return p + "/" }, false)
	addSlashToo := rewriting(func(p string) string { return p + "/" }, true)
	removeSlash := rewriting(func(p string) string { return strings.TrimSuffix(p, "/") }, false)
	removeSlashToo := rewriting(func(p string) string { return strings.TrimSuffix(p, "/") }, true)
	rewrite := rewriting(func(p string) string { return strings.Replace(p, "/old/", "/files/", 1) }, false)
	override := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Method = "DELETE"
			next.ServeHTTP(w, r)
		})
	}
	strip := func(next http.Handler) http.Handler { return http.StripPrefix("/v1", next) }
	none := func(next http.Handler) http.Handler { return next }

	for name, test := range map[string]struct {
		rewrite        func(http.Handler) http.Handler
		method, target string
		htm, htu       string
		captured       string // the reason; empty: accepted
		not            string // without Capture
	}{
		"nothing":                         {none, "GET", "/files/a", "GET", "/files/a", "", ""},
		"nothing, an encoded slash":       {none, "GET", "/files/a%2Fb", "GET", "/files/a%2Fb", "", ""},
		"nothing, an encoded letter":      {none, "GET", "/files/%61", "GET", "/files/a", "", ""},
		"nothing, a query":                {none, "GET", "/files/a?b=/c", "GET", "/files/a", "", ""},
		"nothing, no path":                {none, "GET", poptest.Audience, "GET", "/", "", ""},
		"nothing, the absolute form":      {none, "GET", poptest.Audience + "/files/a%2Fb", "GET", "/files/a%2Fb", "", ""},
		"nothing, another path":           {none, "GET", "/files/a", "GET", "/files/b", "htu_mismatch", "htu_mismatch"},
		"a slash more":                    {addSlash, "GET", "/files/a", "GET", "/files/a", "", "target_rewritten"},
		"a slash more, proved so":         {addSlash, "GET", "/files/a", "GET", "/files/a/", "htu_mismatch", "target_rewritten"},
		"in the target too":               {addSlashToo, "GET", "/files/a", "GET", "/files/a", "", "htu_mismatch"},
		"an encoded ? taken apart":        {addSlashToo, "GET", "/files/a%3Fb", "GET", "/files/a", "htu_mismatch", "target_rewritten"},
		"an encoded ?, as it came":        {addSlashToo, "GET", "/files/a%3Fb", "GET", "/files/a%3Fb", "", "target_rewritten"},
		"an encoded slash, as it came":    {addSlash, "GET", "/files/a%2Fb", "GET", "/files/a%2Fb", "", "target_rewritten"},
		"an encoded slash taken apart":    {addSlashToo, "GET", "/files/a%2Fb", "GET", "/files/a/b", "htu_mismatch", "target_rewritten"},
		"a slash less":                    {removeSlash, "GET", "/files/a/", "GET", "/files/a/", "", "target_rewritten"},
		"a slash less, proved so":         {removeSlash, "GET", "/files/a/", "GET", "/files/a", "htu_mismatch", "target_rewritten"},
		"a slash less, ? taken apart":     {removeSlashToo, "GET", "/files/a%3Fb/", "GET", "/files/a", "htu_mismatch", "target_rewritten"},
		"a rewritten path":                {rewrite, "GET", "/old/a", "GET", "/old/a", "", "target_rewritten"},
		"a rewritten path, proved so":     {rewrite, "GET", "/old/a", "GET", "/files/a", "htu_mismatch", "target_rewritten"},
		"a method, an honest proof":       {override, "POST", "/files/a", "POST", "/files/a", "method_rewritten", "htm_mismatch"},
		"a method, proved for the new":    {override, "POST", "/files/a", "DELETE", "/files/a", "method_rewritten", ""},
		"a stripped prefix":               {strip, "GET", "/v1/files/a", "GET", "/v1/files/a", "", ""},
		"a stripped prefix, encoded":      {strip, "GET", "/v1/files/a%2Fb", "GET", "/v1/files/a%2Fb", "", ""},
		"a stripped prefix, all of it":    {strip, "GET", "/v1", "GET", "/v1", "", ""},
		"a stripped prefix, proved so":    {strip, "GET", "/v1/files/a", "GET", "/files/a", "htu_mismatch", "htu_mismatch"},
		"a stripped prefix, by its proof": {strip, "GET", "/v1/files/a", "GET", "/v1/files/b", "htu_mismatch", "htu_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			for _, way := range []struct {
				kind, reason string
				h            http.Handler
			}{
				{"with Capture", test.captured, access.Capture(test.rewrite(s.Handler(s)))},
				{"with Capture on both sides", test.captured, access.Capture(test.rewrite(access.Capture(s.Handler(s))))},
				{"without", test.not, test.rewrite(s.Handler(s))},
			} {
				t.Run(way.kind, func(t *testing.T) {
					r := prove(asRead(test.method, test.target), test.htm, test.htu)
					switch way.reason {
					case "":
						s.accepts(t, way.h, r)
					case "method_rewritten", "target_rewritten":
						s.refuses(t, way.h, r, 400, way.reason)
					default:
						s.refuses(t, way.h, r, 401, way.reason)
					}
				})
			}
		})
	}
}

// The reasons say what to do about them, and to the client nothing of the rewritten text.
func TestRewrittenRequestsSayWhy(t *testing.T) {
	s := newSite(t)
	h := rewriting(func(string) string { return "/inside" }, false)(s.Handler(s))
	w := serve(h, prove(asRead("GET", "/files/a"), "GET", "/files/a"))
	d := s.decided(t, "target_rewritten")
	if text := d.Refusal.Error(); !strings.Contains(text, "put Capture in front of what rewrites it") || !strings.Contains(text, "/inside") {
		t.Errorf("the log says %s", text)
	}
	if strings.Contains(w.Body.String(), "inside") || strings.Contains(w.Header().Get("WWW-Authenticate"), "inside") {
		t.Errorf("the client is told %v %s", w.Header(), w.Body)
	}
}

// What was rewritten behind a Guard is not judged again; a request whose target cannot be read as one is refused for it.
func TestOddTargets(t *testing.T) {
	s := newSite(t)
	s.accepts(t, s.Handler(rewriting(func(string) string { return "/inside" }, false)(s)), prove(asRead("GET", "/files/a"), "GET", "/files/a"))

	connect := asRead("GET", "/")
	connect.Method, connect.RequestURI, connect.URL = "CONNECT", "api.example.com:443", &url.URL{Host: "api.example.com:443"}
	s.refuses(t, s.Handler(s), prove(connect, "CONNECT", "/"), 401, "htu_mismatch")

	broken := asRead("GET", "/files/a")
	broken.RequestURI = "/files/%zz"
	s.refuses(t, s.Handler(s), prove(broken, "GET", "/files/a"), 401, "htu_mismatch")

	// One that somebody has taken apart elsewhere than the client did.
	escaped := asRead("GET", "/files/a%2Fb")
	escaped.URL.RawPath = "/files%2Fa/b"
	s.refuses(t, s.Handler(s), prove(escaped, "GET", "/files/a%2Fb"), 400, "target_rewritten")
	twice := asRead("GET", "/files/%2541")
	twice.URL.Path = "/files/%2541" // as it came, where it had been decoded
	s.refuses(t, s.Handler(s), prove(twice, "GET", "/files/%2541"), 400, "target_rewritten")
	plain := asRead("GET", "/files/a")
	plain.URL.RawPath = "/files%2Fa"
	s.refuses(t, s.Handler(s), prove(plain, "GET", "/files/a"), 400, "target_rewritten")
}
