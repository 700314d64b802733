package access_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// Which challenges stand on a refusal, in which order, and on which of them the error (RS-042, RS-043, RS-046,
// RS-051, RS-052, RS-104, RS-107). There is no realm, so there is never more than one (RS-105).
func TestChallenges(t *testing.T) {
	const mismatch = `error="invalid_token", error_description="the proof is not made with the key that the access token is bound to"`
	const bearer = `error="invalid_token", error_description="the access token is bound to a DPoP key and needs the DPoP scheme"`
	token := bound()
	thief := poptest.Proof{Token: token, Key: poptest.Keyed("ES256", "thief")}.String()
	for name, test := range map[string]struct {
		bearerToo bool
		r         *http.Request
		want      []string
	}{
		"none, DPoP alone":         {false, get("", ""), []string{"DPoP " + algs}},
		"none, both":               {true, get("", ""), []string{"DPoP " + algs, "Bearer"}},
		"DPoP, DPoP alone":         {false, get("DPoP "+token, thief), []string{"DPoP " + mismatch + ", " + algs}},
		"DPoP, both":               {true, get("dpop "+token, thief), []string{"DPoP " + mismatch + ", " + algs, "Bearer"}},
		"Bearer, DPoP alone":       {false, get("Bearer "+token, ""), []string{"DPoP " + algs, "Bearer " + bearer}},
		"Bearer, both":             {true, get("bearer "+token, ""), []string{"DPoP " + algs, "Bearer " + bearer}},
		"another scheme":           {false, get("Basic eDp5", ""), []string{"DPoP " + algs}},
		"malformed without scheme": {false, get("@", ""), []string{`DPoP error="invalid_request", error_description="the Authorization field is malformed", ` + algs}},
		"malformed Bearer": {true, get("Bearer", ""), []string{
			"DPoP " + algs, `Bearer error="invalid_request", error_description="the Authorization field is malformed"`,
		}},
		"nonce": {false, get("DPoP "+token, poptest.Proof{Token: token, Nonce: "x", IssuedAt: poptest.Now.Add(-time.Hour)}.String()), []string{
			`DPoP error="use_dpop_nonce", error_description="the nonce is not one of ours", ` + algs,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newGuard(t, func(s *setup) { s.InsecureAllowBearer = test.bearerToo }).Check(test.r)
			e, ok := err.(*access.Error)
			if !ok {
				t.Fatal(err)
			}
			if got := challenges(e); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// RS-056, RS-060, RS-064, RS-065, RS-048: what goes with a demand for a nonce.
func TestNonceHeaders(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.RequireNonce = true })
	token := bound()
	_, err := s.Check(owner(token))
	e := expect(t, err, refusal{401, "use_dpop_nonce", "nonce_missing"})
	h := http.Header{}
	e.SetHeaders(h)
	nonces := h.Values("DPoP-Nonce")
	if len(nonces) != 1 || nonces[0] != e.Nonce || e.Nonce == "" {
		t.Fatalf("nonces %q, want one, %q", nonces, e.Nonce)
	}
	if h.Get("Cache-Control") != "no-store" || strings.Join(h.Values("Access-Control-Expose-Headers"), ", ") != "WWW-Authenticate, DPoP-Nonce" {
		t.Errorf("header %v", h)
	}
	withNonce := func(nonce string) *http.Request { // RS-058, RS-067
		return get("DPoP "+token, poptest.Proof{Token: token, Nonce: nonce}.String())
	}
	for range 3 {
		grant, err := s.Check(withNonce(e.Nonce))
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		if grant.SetHeaders(h); len(h) != 0 {
			t.Errorf("the newest nonce was answered with %v", h)
		}
	}
	s.clock.Advance(time.Minute) // RS-062, RS-063: the one before is good, and answered with the newest
	grant, err := s.Check(withNonce(e.Nonce))
	if err != nil {
		t.Fatal(err)
	}
	h = http.Header{}
	grant.SetHeaders(h)
	if got := h.Values("DPoP-Nonce"); len(got) != 1 || got[0] == e.Nonce || h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Expose-Headers") != "DPoP-Nonce" {
		t.Errorf("header %v", h)
	}
	if _, err = s.Check(withNonce(h.Get("DPoP-Nonce"))); err != nil {
		t.Error(err)
	}
	_, err = s.Check(owner(token)) // RS-068
	expect(t, err, refusal{401, "use_dpop_nonce", "nonce_missing"})
}

// RS-106, RS-181: whatever a client sends, the answer holds only our words.
func TestNothingIsReflected(t *testing.T) {
	const mark = "Zq7evil"
	evil := mark + `"\, error="x` + "\r\nSet-Cookie: a=b"
	s := newGuard(t)
	token := bound()
	for name, r := range map[string]*http.Request{
		"htu":    get("DPoP "+token, poptest.Proof{Token: token, Claims: map[string]any{"htu": evil}}.String()),
		"htm":    get("DPoP "+token, poptest.Proof{Token: token, Claims: map[string]any{"htm": evil}}.String()),
		"ath":    get("DPoP "+token, poptest.Proof{Token: token, Claims: map[string]any{"ath": evil}}.String()),
		"typ":    get("DPoP "+token, poptest.Proof{Token: token, Header: map[string]any{"typ": evil}}.String()),
		"alg":    get("DPoP "+token, poptest.Proof{Token: token, Header: map[string]any{"alg": evil}}.String()),
		"nonce":  get("DPoP "+token, poptest.Proof{Token: token, Nonce: evil, IssuedAt: poptest.Now.Add(-time.Hour)}.String()),
		"iat":    get("DPoP "+token, poptest.Proof{Token: token, Claims: map[string]any{"iat": evil}}.String()),
		"proof":  get("DPoP "+token, mark),
		"iss":    owner(bound(claim("iss", evil))),
		"aud":    owner(bound(claim("aud", evil))),
		"kid":    owner(bound(member("kid", evil))),
		"cnf":    owner(bound(claim("cnf", map[string]any{"jkt": evil}))),
		"scheme": get(mark+" x", ""),
		"token":  get("DPoP "+mark, poptest.Proof{Token: mark}.String()),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Check(r)
			w := httptest.NewRecorder()
			s.WriteError(w, r, err)
			var body map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body["message"] == "" {
				t.Errorf("body %q: %v", w.Body, err)
			}
			if w.Code != 401 {
				t.Errorf("status %d: %v", w.Code, err)
			}
			for name, values := range w.Header() {
				for _, value := range append(values, w.Body.String()) {
					if strings.Contains(value, mark) || strings.ContainsAny(value, "\r") {
						t.Errorf("%s: %q", name, value)
					}
				}
			}
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the log line is broken up: %q", err.Error())
			}
		})
	}
}

func TestWriteErrorOfAnything(t *testing.T) {
	w := httptest.NewRecorder()
	newGuard(t).WriteError(w, get("", ""), http.ErrServerClosed)
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || strings.Contains(w.Body.String(), "Server closed") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"DPoP abc", "bearer  a.b.c==", "DPoP", "", " ", "Basic eDp5", "DPoP a,b", "DPoP\tabc", "DPoP =", `DPoP a="b"`, "é x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		scheme, token, err := access.ParseAuthorization(field)
		if err != nil {
			if token != "" && scheme == "" {
				t.Errorf("a token without a scheme: %q", token)
			}
			return
		}
		rest := strings.TrimLeft(field[len(scheme):], " ")
		if !strings.EqualFold(field[:len(scheme)], scheme) || rest != token || field[len(scheme)] != ' ' || strings.ContainsAny(token, " \t,\"") {
			t.Errorf("%q was read as %q %q", field, scheme, token)
		}
	})
}

// RFC 6750 §3: who is told to come with a token is told what for, by whatever judges first.
func TestUnauthorizedNamesTheScopesOfTheRoute(t *testing.T) {
	const link = `resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"`
	token := bound()
	thief := poptest.Proof{Token: token, Key: poptest.Keyed("ES256", "thief")}.String()
	s := newSite(t, func(s *setup) { s.InsecureAllowBearer, s.Resources = true, resource() })
	h := s.Handler(s, access.Requirement{Scopes: []string{"read"}}, access.Requirement{Scopes: []string{"read"}, AnyScope: []string{"a", "b"}})
	for name, test := range map[string]struct {
		h      http.Handler
		r      *http.Request
		reason string
		want   []string
	}{
		"no token": {h, get("", ""), "credentials_missing", []string{
			`DPoP scope="read a b", ` + algs + ", " + link, `Bearer scope="read a b", ` + link,
		}},
		"the token of another": {h, get("DPoP "+token, thief), "key_mismatch", []string{
			`DPoP error="invalid_token", error_description="the proof is not made with the key that the access token is bound to", scope="read a b", ` + algs + ", " + link, "Bearer " + link,
		}},
		"a bad proof": {h, get("DPoP "+token, ""), "proof_missing", []string{ // another token would not help
			`DPoP error="invalid_dpop_proof", error_description="no DPoP field", ` + algs + ", " + link, "Bearer " + link,
		}},
		"a route without scopes": {s.Handler(s), get("", ""), "credentials_missing", []string{"DPoP " + algs + ", " + link, "Bearer " + link}},
	} {
		t.Run(name, func(t *testing.T) {
			w := s.refuses(t, test.h, test.r, 401, test.reason)
			if got := w.Header()["Www-Authenticate"]; !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}
