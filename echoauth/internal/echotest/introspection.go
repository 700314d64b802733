package echotest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// RS-033: opaque tokens beside JWTs, through Echo.
func (f suite) TestOpaqueTokens(t *testing.T) {
	active := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"active": active && r.FormValue("token") == "opaque", "aud": poptest.Audience, "sub": "user-2", "scope": "accounts:read",
			"iat": poptest.Now.Unix(), "exp": poptest.Now.Unix() + 60, "cnf": map[string]any{"jkt": poptest.ClientKey().Thumbprint()},
		})
	}))
	defer server.Close()
	introspection, err := access.NewIntrospection(access.IntrospectionConfig{
		Endpoint: server.URL, Issuer: "https://opaque.example.com", Audience: poptest.Audience, ClientID: "api", ClientSecret: "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer introspection.Close()
	a := f.newAPI(f.newAuth(t, func(c *access.Config) { c.Tokens = introspection }))
	call := func(token string) *httptest.ResponseRecorder {
		return a.serve(signed(get(poptest.URL), token, poptest.URL))
	}
	if w := call("opaque"); w.Code != 200 || a.ran() != 1 {
		t.Errorf("opaque: %d %s", w.Code, w.Body)
	}
	if w := call(bound()); w.Code != 200 || a.ran() != 1 {
		t.Errorf("JWT: %d %s", w.Code, w.Body)
	}
	if w := call("guess"); w.Code != 401 || !hasCode(w, "invalid_token") || a.ran() != 0 {
		t.Errorf("a guess: %d %v", w.Code, w.Header())
	}
	active = false
	if w := call("opaque"); w.Code != 401 || !hasCode(w, "invalid_token") || a.ran() != 0 {
		t.Errorf("taken back at the server: %d %v", w.Code, w.Header())
	}
	server.Close()
	if w := call("unasked"); w.Code != 503 || w.Header().Get("Retry-After") == "" || a.ran() != 0 {
		t.Errorf("server down: %d %v", w.Code, w.Header())
	}
}
