package access_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// readsElsewhere is an entry that takes the tokens of client-1 from a cookie and a query too.
func readsElsewhere() access.Bearer {
	return access.Bearer{Clients: []string{"client-1"}, InsecureCookie: "session", InsecureQuery: "access_token"}
}

func inCookie(token string, header ...string) *http.Request {
	r := get("", "")
	r.AddCookie(&http.Cookie{Name: "session", Value: token})
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func inQuery(token string) *http.Request {
	return httptest.NewRequest(http.MethodGet, poptest.URL+"?a=1%2B&access%5Ftoken="+token+"&b", nil)
}

func method(method string, r *http.Request) *http.Request {
	r.Method = method
	return r
}

// Where tokens are read, from which requests, and which are taken.
func TestTokensElsewhere(t *testing.T) {
	unbound := poptest.Token{}.String()
	none := refusal{401, "", "credentials_missing"}
	twice := refusal{400, "invalid_request", "token_sent_twice"}
	elsewhere := refusal{401, "invalid_token", "bound_token_elsewhere"}
	crossOrigin := refusal{403, "", "cross_origin"}
	ended := readsElsewhere()
	ended.Until = poptest.Now
	header := access.Bearer{Clients: []string{"client-1"}}
	only := func(change func(*access.Bearer)) access.Bearer { b := readsElsewhere(); change(&b); return b }
	own := poptest.NewCA(t).Issue(t, "client")
	for name, test := range map[string]struct {
		list []access.Bearer
		r    *http.Request
		want refusal // zero: accepted
	}{
		"a cookie":                        {nil, inCookie(unbound), refusal{}},
		"a query":                         {nil, inQuery(unbound), refusal{}},
		"Authorization":                   {nil, bearer(unbound, ""), refusal{}},
		"a cookie of another name":        {nil, withHeader(get("", ""), "Cookie", "sid="+unbound), none},
		"an empty cookie":                 {nil, inCookie(""), none},
		"a cookie that is no token":       {nil, withHeader(get("", ""), "Cookie", "session=a,b"), refusal{400, "invalid_request", "authorization_malformed"}},
		"two cookies":                     {nil, withHeader(get("", ""), "Cookie", "session="+unbound+"; session="+unbound), twice},
		"a query, twice":                  {nil, inQuery(unbound + "&access_token=" + unbound), twice},
		"a cookie and a query":            {nil, withHeader(inQuery(unbound), "Cookie", "session="+unbound), twice},
		"an entry that reads neither":     {[]access.Bearer{header}, inCookie(unbound), none},
		"an entry that reads cookies":     {[]access.Bearer{only(func(b *access.Bearer) { b.InsecureQuery = "" })}, inQuery(unbound), none},
		"an entry that reads queries":     {[]access.Bearer{only(func(b *access.Bearer) { b.InsecureCookie = "" })}, inCookie(unbound), none},
		"the entry of another client":     {[]access.Bearer{header, only(func(b *access.Bearer) { b.Clients = []string{"client-2"} })}, inCookie(unbound), refusal{401, "invalid_token", "token_unbound"}},
		"two entries read one cookie":     {[]access.Bearer{only(func(b *access.Bearer) { b.Clients = []string{"client-2"} }), readsElsewhere()}, inCookie(unbound), refusal{}},
		"after the date":                  {[]access.Bearer{ended}, inCookie(unbound), refusal{401, "invalid_token", "bearer_ended"}},
		"not after a refusal":             {nil, withHeader(inCookie(unbound), "Authorization", "Bearer x"), refusal{401, "invalid_token", "token_inactive"}},
		"nor after another scheme":        {nil, withHeader(inCookie(unbound), "Authorization", "Basic x"), refusal{401, "", "scheme_unknown"}},
		"nor after an empty field":        {nil, withHeader(inCookie(unbound), "Authorization", ""), refusal{400, "invalid_request", "authorization_malformed"}},
		"nor beside a proof":              {nil, withHeader(inCookie(unbound), "DPoP", poptest.Proof{Token: unbound}.String()), none},
		"nor in a query beside one":       {nil, withHeader(inQuery(unbound), "DPoP", "x"), none},
		"bound, in a cookie":              {nil, inCookie(bound()), elsewhere},
		"bound, in a query":               {nil, inQuery(bound()), elsewhere},
		"bound to the certificate":        {nil, with(inCookie(poptest.Token{X5T: poptest.X5T(own.Leaf)}.String()), own), elsewhere},
		"another page reads":              {nil, inCookie(unbound, "Sec-Fetch-Site", "cross-site"), refusal{}},
		"another page posts":              {nil, method("POST", inCookie(unbound, "Sec-Fetch-Site", "cross-site")), crossOrigin},
		"a sibling page posts":            {nil, method("POST", inCookie(unbound, "Sec-Fetch-Site", "same-site")), crossOrigin},
		"another page, an older browser":  {nil, method("DELETE", inCookie(unbound, "Origin", "https://evil.example")), crossOrigin},
		"another page opens a WebSocket":  {nil, inCookie(unbound, "Origin", "https://evil.example", "Upgrade", "websocket"), crossOrigin},
		"our page posts":                  {nil, method("POST", inCookie(unbound, "Sec-Fetch-Site", "same-origin")), refusal{}},
		"our page, an older browser":      {nil, method("POST", inCookie(unbound, "Origin", poptest.Audience)), refusal{}},
		"our page opens a WebSocket":      {nil, inCookie(unbound, "Origin", poptest.Audience, "Upgrade", "websocket"), refusal{}},
		"no browser posts":                {nil, method("POST", inCookie(unbound)), refusal{}},
		"another page posts with a query": {nil, method("POST", withHeader(inQuery(unbound), "Sec-Fetch-Site", "cross-site")), refusal{}}, // it has the token itself
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			list := test.list
			if list == nil {
				list = []access.Bearer{readsElsewhere()}
			}
			s := newGuard(t, hears(&heard), takes(list...), accepting(func(s *setup) {
				s.Tokens = access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { return nil, access.ErrTokenInactive })
			}))
			grant, err := s.Check(test.r)
			if test.want != (refusal{}) {
				expect(t, err, test.want)
				return
			}
			if err != nil || grant.Binding != 0 {
				t.Fatalf("refused: %v", err)
			}
			from := map[bool]string{true: "cookie"}[test.r.Header["Cookie"] != nil]
			if strings.Contains(test.r.URL.RawQuery, "token") {
				from = "query"
			}
			if heard[0].TokenFrom != from {
				t.Errorf("from %q, want %q", heard[0].TokenFrom, from)
			}
		})
	}
}

// Without such an entry nothing but Authorization is read, whoever is let in otherwise.
func TestTokensElsewhereAreNotReadByDefault(t *testing.T) {
	for name, settings := range map[string]func(*setup){
		"default":  func(*setup) {},
		"everyone": func(s *setup) { s.InsecureAllowBearer = true },
	} {
		for _, r := range []*http.Request{inCookie(poptest.Token{}.String()), inQuery(poptest.Token{}.String())} {
			_, err := newGuard(t, settings).Check(r)
			if reason.Of(err) != "credentials_missing" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// seen is what code behind the Guard, in it and in front of it sees of a request.
type seen struct{ all []string }

func (s *seen) note(r *http.Request) {
	s.all = append(s.all, r.RequestURI, r.URL.String(), r.Form.Encode())
}

// A token in the query reaches no handler, no policy, no rendering of a refusal and no log; the answer is not stored, and
// leads to no Referer. An inner Handler takes the request for the same one.
func TestTokenInQueryIsConcealed(t *testing.T) {
	for name, test := range map[string]struct {
		token  string
		status int
	}{"accepted": {poptest.Token{}.String(), 204}, "refused": {bound(), 401}} {
		t.Run(name, func(t *testing.T) {
			var at seen
			var log bytes.Buffer
			s := newGuard(t, takes(readsElsewhere()), func(s *setup) {
				s.Log, s.LogAccepted = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), true
				s.Policies = []access.Policy{func(r *http.Request, _ *access.Grant) error { at.note(r); return nil }}
				s.Deny = func(_ http.ResponseWriter, r *http.Request, _ *access.Error) { at.note(r) }
			})
			h := s.Handler(s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				at.note(r)
				w.Header().Set("Cache-Control", "public")
				w.WriteHeader(http.StatusNoContent)
			})))
			r, w := inQuery(test.token), httptest.NewRecorder()
			if err := r.ParseForm(); err != nil { // as middleware in front may have
				t.Fatal(err)
			}
			h.ServeHTTP(w, r)
			if r.Form.Get("access_token") != test.token {
				t.Error("the request in front of the Guard was changed")
			}
			if w.Code != test.status || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("status %d, header %v", w.Code, w.Header())
			}
			if len(at.all) == 0 || strings.Contains(strings.Join(at.all, " ")+log.String(), test.token) {
				t.Errorf("seen %q\n%s", at.all, &log)
			}
			if last := at.all[len(at.all)-3]; last != poptest.URL+"?a=1%2B&b" {
				t.Errorf("the rest of the query: %s", last)
			}
		})
	}
}

// A request that goes on inside with other cookies is another one.
func TestTokenInCookieInside(t *testing.T) {
	judged := 0
	s := newGuard(t, takes(readsElsewhere()), func(s *setup) {
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { judged++; return nil }}
	})
	inner := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	var change func(*http.Request)
	outer := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		change(r)
		inner.ServeHTTP(w, r)
	}))
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"the same": {func(*http.Request) {}, 204},
		"none":     {func(r *http.Request) { r.Header.Del("Cookie") }, 401},
		"another":  {func(r *http.Request) { r.Header.Set("Cookie", "session=x") }, 401},
	} {
		w := httptest.NewRecorder()
		change = test.change
		judged = 0
		outer.ServeHTTP(w, inCookie(poptest.Token{}.String()))
		if w.Code != test.want || judged != 1 {
			t.Errorf("%s: status %d, want %d; judged %d times", name, w.Code, test.want, judged)
		}
	}
}

// A bound token that turns up in a cookie is in hands that have no use for it.
func TestBoundTokenElsewhereRaisesAnAlert(t *testing.T) {
	own := poptest.NewCA(t).Issue(t, "client")
	for name, test := range map[string]struct{ token, bound string }{
		"a key":         {bound(), poptest.ClientKey().Thumbprint()},
		"a certificate": {poptest.Token{X5T: poptest.X5T(own.Leaf)}.String(), poptest.X5T(own.Leaf)},
	} {
		t.Run(name, func(t *testing.T) {
			var a alerts
			s := newGuard(t, a.install, takes(readsElsewhere()), accepting(nil))
			_, _ = s.Check(inCookie(test.token))
			if len(a.heard) != 1 || a.heard[0].Kind != "bound_token_elsewhere" || a.heard[0].Bound != test.bound || a.heard[0].Proven {
				t.Errorf("heard %+v", a.heard)
			}
		})
	}
}

// A shadow says of them what the Guard would.
func TestShadowOfTokensElsewhere(t *testing.T) {
	var heard []access.Decision
	s := newGuard(t, hears(&heard), takes(readsElsewhere()))
	s.UnprotectedShadow(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), inCookie(poptest.Token{}.String()))
	s.UnprotectedShadow(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), inCookie(bound()))
	if len(heard) != 2 || heard[0].WouldBe() != access.Accepted || heard[1].Would.Reason() != "bound_token_elsewhere" {
		t.Errorf("heard %+v", heard)
	}
}

func TestElsewhereErrors(t *testing.T) {
	b := readsElsewhere()
	b.InsecureCookie, b.Until = "a b", poptest.Now.Add(time.Hour)
	c := config()
	c.Bearer = []access.Bearer{b}
	_, err := access.New(c)
	if err == nil || !strings.Contains(err.Error(), `Bearer[0].InsecureCookie is "a b"`) {
		t.Errorf("got %v", err)
	}
}

// What a handler sees of a request is as it came, less the token and nothing else; one of an outer Handler is judged once.
func TestRestOfTheQueryStays(t *testing.T) {
	token := poptest.Token{}.String()
	for name, test := range map[string]struct {
		target, cookie string
		want           string // of the target, as a handler sees it
	}{
		"the token alone":            {"/accounts?access_token=" + token, "", "/accounts"},
		"beside others":              {"/accounts?a=1&access_token=" + token + "&=x&&%zz=2", "", "/accounts?a=1&=x&%zz=2"},
		"in a cookie":                {"/accounts?a=1&&=x", token, "/accounts?a=1&&=x"},
		"in a cookie, without query": {"/accounts", token, "/accounts"},
		"in a cookie, an empty one":  {"/accounts?", token, "/accounts?"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, takes(readsElsewhere()))
			r := httptest.NewRequest("GET", poptest.Audience+test.target, nil)
			r.RequestURI = test.target
			if test.cookie != "" {
				r.AddCookie(&http.Cookie{Name: "session", Value: test.cookie})
			}
			s.answer = func(_ http.ResponseWriter, r *http.Request) {
				if r.RequestURI != test.want {
					t.Errorf("the handler sees %s, want %s", r.RequestURI, test.want)
				}
			}
			s.accepts(t, s.Handler(s.Handler(s)), r)
		})
	}
	// A target without a query has none to take the token from, whatever the URL says.
	s := newSite(t, takes(readsElsewhere()))
	r := httptest.NewRequest("GET", poptest.URL+"?access_token="+token, nil)
	r.RequestURI = ""
	s.answer = func(_ http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "" || r.URL.RawQuery != "" {
			t.Errorf("the handler sees %q %s", r.RequestURI, r.URL)
		}
	}
	s.accepts(t, s.Handler(s), r)
}

// A name in a query that cannot be read is not that of a token, and a request without a URL has no query.
func TestQueriesWithoutAToken(t *testing.T) {
	s := newGuard(t)
	for _, query := range []string{"?access_token%=x", "?a&&b=access_token", "?"} {
		if _, err := s.Check(withURL(owner(bound()), poptest.URL+query)); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	r := owner(bound())
	r.URL, r.RequestURI = nil, ""
	_, err := s.Check(r)
	expect(t, err, refusal{401, "invalid_dpop_proof", "htu_mismatch"})
}
