package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
)

// asAdmin is a request to the admin port.
func asAdmin(method, path, body string) call {
	return call{method: method, path: path, body: body, port: "ADMIN_PORT", header: map[string]string{"Content-Type": "application/json"}}
}

// Tokens are taken back in every way there is, and the revocations outlive a program that is killed.
func TestRevocationSurvives(t *testing.T) {
	w := newWorld(t)
	file := env{"REVOCATION_FILE": filepath.Join(t.TempDir(), "revoked")}
	p := w.start(t, file)
	other := poptest.Keyed("ES256", "other")
	claims := map[string]any{"jti": "t1", "sid": "s1", "sub": "u1", "client_id": "c1"}
	// change makes a token that differs from the others in all but one claim.
	change := func(only string) string {
		own := map[string]any{}
		for name := range claims {
			own[name] = name + " of " + only
		}
		if only != "key" {
			own[only] = claims[only]
		}
		return w.bound(func(t *poptest.Token) {
			t.Claims = own
			if only == "key" {
				t.JKT = other.Thumbprint()
			}
		})
	}
	ways := map[string]struct{ claim, value string }{
		"token": {"jti", "t1"}, "session": {"sid", "s1"}, "subject": {"sub", "u1"}, "client": {"client_id", "c1"},
		"key": {"key", other.Thumbprint()},
	}
	ask := func(p *process, by string) reply {
		return p.do(call{token: change(ways[by].claim), proof: func(p *poptest.Proof) {
			if by == "key" {
				p.Key = other
			}
		}})
	}
	for by, way := range ways {
		if a := ask(p, by); a.status != 200 {
			t.Fatalf("by %s, before: %d %s", by, a.status, a.body)
		}
		p.revoke(`{"by":"` + by + `","value":"` + way.value + `"}`)
	}
	for _, p := range []*process{p, nil} {
		if p == nil {
			p = w.start(t, file)
		}
		for by := range ways {
			if a := ask(p, by); a.status != 401 || a.code() != "invalid_token" {
				t.Errorf("by %s: %d %q", by, a.status, a.code())
			}
			p.decision("refused", by+"_revoked")
		}
		if a := p.do(call{token: w.bound()}); a.status != 200 {
			t.Errorf("another token: %d %s", a.status, a.body)
		}
		p.Kill() // SIGKILL
	}
}

func TestRevokeBefore(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	p.revoke(`{"by":"subject","value":"user-1","before":"` + time.Now().Add(time.Second).UTC().Format(time.RFC3339) + `","except_session":"new"}`)
	if a := p.do(call{token: w.bound()}); a.status != 401 {
		t.Errorf("a token from before: %d", a.status)
	}
	if a := p.do(call{token: w.bound(claim("sid", "new"))}); a.status != 200 {
		t.Errorf("the session that stays: %d", a.status)
	}
}

// What the admin port refuses.
func TestAdminRefuses(t *testing.T) {
	w := newWorld(t)
	secret := strings.Repeat("s", 32)
	open, guarded := w.start(t, nil), w.start(t, env{"ADMIN_TOKEN": secret, "ADMIN_HOST": "0.0.0.0"})
	good := `{"by":"subject","value":"user-2"}`
	with := func(c call, name, value string) call {
		c.header = maps.Clone(c.header)
		c.header[name] = value
		return c
	}
	for name, test := range map[string]struct {
		program *process
		call    call
		status  int
	}{
		"good":                       {open, asAdmin("POST", "/revoke", good), 200},
		"by what there is not":       {open, asAdmin("POST", "/revoke", `{"by":"colour","value":"red"}`), 400},
		"no value":                   {open, asAdmin("POST", "/revoke", `{"by":"subject"}`), 400},
		"a member that is not known": {open, asAdmin("POST", "/revoke", `{"by":"subject","value":"u","befor":"2030-01-01T00:00:00Z"}`), 400},
		"a token before an instant":  {open, asAdmin("POST", "/revoke", `{"by":"token","value":"t","before":"2030-01-01T00:00:00Z"}`), 400},
		"a key, its beginning":       {open, asAdmin("POST", "/revoke", `{"by":"key","value":"A6mFZI-b"}`), 400},
		"a certificate in hex":       {open, asAdmin("POST", "/revoke", `{"by":"certificate","value":"`+strings.Repeat("ab", 32)+`"}`), 400},
		"a whole thumbprint":         {open, asAdmin("POST", "/revoke", `{"by":"key","value":"`+poptest.Keyed("ES256", "other").Thumbprint()+`"}`), 200},
		"two objects":                {open, asAdmin("POST", "/revoke", good+good), 400},
		"a word behind the object":   {open, asAdmin("POST", "/revoke", good+" and more"), 400},
		"space behind the object":    {open, asAdmin("POST", "/revoke", good+" \n"), 200},
		"before, until 2030":         {open, asAdmin("POST", "/revoke", `{"by":"subject","value":"user-2","before":"2030-01-01T00:00:00Z"}`), 400},
		"before, long ago":           {open, asAdmin("POST", "/revoke", `{"by":"subject","value":"user-2","before":"2020-01-01T00:00:00Z"}`), 200},
		"not JSON":                   {open, asAdmin("POST", "/revoke", "by=subject"), 400},
		"too large":                  {open, asAdmin("POST", "/revoke", `{"by":"`+strings.Repeat("a", 16<<10)+`"}`), 400},
		"a form":                     {open, with(asAdmin("POST", "/revoke", good), "Content-Type", "text/plain"), 415},
		"GET":                        {open, asAdmin("GET", "/revoke", ""), 405},
		"from a page":                {open, with(asAdmin("POST", "/revoke", good), "Origin", "http://127.0.0.1"), 403},
		"from a page of its origin":  {open, with(asAdmin("GET", "/metrics", ""), "Sec-Fetch-Site", "cross-site"), 403},
		"by a name that leads here":  {open, with(asAdmin("GET", "/metrics", ""), "Host", "rebound.example.com"), 403},
		"no subject":                 {open, asAdmin("GET", "/tokens", ""), 400},
		"without the secret":         {guarded, asAdmin("POST", "/revoke", good), 401},
		"with another secret":        {guarded, with(asAdmin("GET", "/metrics", ""), "Authorization", "Bearer "+secret+"s"), 401},
		"with the secret":            {guarded, with(asAdmin("POST", "/revoke", good), "Authorization", "Bearer "+secret), 200},
		"not on the API's port":      {open, call{method: "POST", path: "/revoke", body: good}, 404},
		"metrics neither":            {open, call{path: "/metrics"}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			if a := test.program.do(test.call); a.status != test.status {
				t.Errorf("%d, want %d: %s", a.status, test.status, a.body)
			}
		})
	}
}

func TestTokensInUse(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	for _, jti := range []string{"t1", "t2"} {
		token := w.bound(func(t *poptest.Token) { t.Claims = map[string]any{"jti": jti, "sid": "session of " + jti} })
		if a := p.do(call{token: token}); a.status != 200 {
			t.Fatal(a.status)
		}
	}
	p.do(call{token: w.bound(scope("nothing"), claim("jti", "refused")), proof: func(p *poptest.Proof) { p.Method = "PUT" }})
	a := p.do(asAdmin("GET", "/tokens?subject=user-1", ""))
	var list struct {
		Tokens []struct{ Token, Session, Client, Key, Address string }
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != 200 {
		t.Fatalf("%d %v %s", a.status, err, a.body)
	}
	var ids []string
	for _, u := range list.Tokens {
		ids = append(ids, u.Token)
		if u.Client != "client-1" || u.Address != "127.0.0.1" || u.Key != poptest.ClientKey().Thumbprint() || u.Session != "session of "+u.Token {
			t.Errorf("%+v", u)
		}
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"t1", "t2"}) {
		t.Errorf("in use: %q", ids)
	}
	if a := p.do(asAdmin("GET", "/tokens?subject=nobody", "")); a.status != 200 || !strings.Contains(a.body, `"tokens":[]`) {
		t.Errorf("nobody's: %d %s", a.status, a.body)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	token := w.bound()
	p.do(call{token: token})
	p.do(call{token: token})
	p.do(call{token: token, path: "/api/items/7", proof: func(p *poptest.Proof) { p.URL += "x" }})
	a := p.do(asAdmin("GET", "/metrics", ""))
	if a.status != http.StatusOK {
		t.Fatal(a.status)
	}
	for _, want := range []string{
		`senderlock_decisions_total{`, `outcome="accepted"`, `reason="htu_mismatch"`, `route="/api/items/:id"`,
		`senderlock_decision_duration_seconds_bucket{`, `senderlock_tokens_total{`, `known="true"`, `known="false"`,
		"\nsenderlock_replay_entries 2\n", "\nsenderlock_replay_capacity 1e+06\n", `senderlock_key_fetches_total{issuer="` + w.URL() + `"`,
		"go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(a.body, "eyJ") || strings.Contains(a.body, poptest.ClientKey().Thumbprint()) {
		t.Error("metrics hold what belongs to one client")
	}
}

// The provider logs a session out.
func TestBackChannelLogout(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, env{"LOGOUT_CLIENT_ID": "api-client"})
	token := w.bound(claim("sid", "s1"))
	if a := p.do(call{token: token}); a.status != 200 {
		t.Fatal(a.status)
	}
	logout := func(aud string) string {
		return w.Token(poptest.Token{
			Audience: aud, IssuedAt: time.Now(), Header: map[string]any{"typ": "logout+jwt"},
			Claims: map[string]any{
				"sid": "s1", "scope": nil, "client_id": nil,
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			},
		})
	}
	post := func(token string) reply {
		return p.do(call{
			method: "POST", path: "/backchannel-logout", body: "logout_token=" + token,
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		})
	}
	if a := post(logout("another-client")); a.status != 400 {
		t.Errorf("for another client: %d %s", a.status, a.body)
	}
	if a := p.do(call{token: token}); a.status != 200 {
		t.Errorf("after a logout token that was refused: %d", a.status)
	}
	if a := post(logout("api-client")); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := p.do(call{token: token}); a.status != 401 {
		t.Errorf("after the logout: %d", a.status)
	}
	p.decision("refused", "session_revoked")
}
