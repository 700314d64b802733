package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
)

// Opaque tokens are asked about at a small introspection endpoint; JWTs come in beside them. RS-033, RS-035, RS-088 and
// RS-150.
func TestOpaqueTokens(t *testing.T) {
	w := newWorld(t)
	cert := poptest.SelfSigned(t, "client")
	now := time.Now().Unix()
	good := map[string]any{
		"active": true, "iss": w.URL(), "sub": "user-1", "client_id": "client-1", "aud": audience, "scope": "read",
		"iat": now, "exp": now + 300, "cnf": map[string]any{"jkt": poptest.ClientKey().Thumbprint()},
	}
	said := map[string]map[string]any{}
	var proofs, strangers atomic.Int32
	w.Handle("/introspect", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("DPoP") != "" {
			proofs.Add(1)
		}
		if id, secret, _ := r.BasicAuth(); id != "api" || secret != "a+secret%3A" || r.FormValue("token_type_hint") != "access_token" {
			strangers.Add(1)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer, ok := said[r.PostFormValue("token")]
		if !ok {
			answer = map[string]any{"active": false}
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(answer)
	}))
	say := func(token string, changes map[string]any) {
		answer := maps.Clone(good)
		for name, value := range changes {
			answer[name] = value
			if value == nil {
				delete(answer, name)
			}
		}
		said[token] = answer
	}
	introspecting := env{
		"INTROSPECTION_ENDPOINT": w.URL() + "/introspect", "INTROSPECTION_CLIENT_ID": "api", "INTROSPECTION_CLIENT_SECRET": "a secret:",
	}
	tests := map[string]struct {
		changes map[string]any
		call    call
		status  int
		reason  string
	}{
		"good":             {nil, call{}, 200, ""},
		"a.dot":            {nil, call{}, 200, ""},
		"aud-list":         {map[string]any{"aud": []string{"x", audience}}, call{}, 200, ""},
		"no-issuer":        {map[string]any{"iss": nil}, call{}, 200, ""},
		"inactive":         {map[string]any{"active": false}, call{}, 401, "token_inactive"},
		"another-issuer":   {map[string]any{"iss": "https://other.example.com"}, call{}, 401, "token_issuer_unknown"},
		"another-audience": {map[string]any{"aud": "https://other.example.com"}, call{}, 401, "token_audience_wrong"},
		"no-audience":      {map[string]any{"aud": nil}, call{}, 401, "token_audience_wrong"},
		"expired":          {map[string]any{"iat": now - 600, "exp": now - 300}, call{}, 401, "token_expired"},
		"no-expiry":        {map[string]any{"exp": nil}, call{}, 401, "token_claim_missing"},
		"long-lived":       {map[string]any{"exp": now + 7200}, call{}, 401, "token_lifetime_too_long"},
		"unbound":          {map[string]any{"cnf": nil}, call{}, 401, "token_unbound"},
		"bound-somehow":    {map[string]any{"cnf": map[string]any{"kid": "a"}}, call{}, 401, "token_cnf_not_understood"},
		"another-key":      {map[string]any{"cnf": map[string]any{"jkt": poptest.Keyed("ES256", "other").Thumbprint()}}, call{}, 401, "key_mismatch"},
		"no-scope":         {nil, call{path: "/api/write"}, 403, "scope_missing"},
		"by-certificate": {
			map[string]any{"cnf": map[string]any{"x5t#S256": poptest.X5T(cert.Leaf)}},
			call{tls: true, cert: &cert, scheme: "Bearer", noProof: true}, 200, "",
		},
		"step-up":     {map[string]any{"acr": "urn:interop:gold", "auth_time": now}, call{path: "/api/stepup"}, 200, ""},
		"no-login":    {map[string]any{"acr": "urn:interop:gold"}, call{path: "/api/stepup"}, 401, "login_too_old"},
		"not-numbers": {map[string]any{"exp": "soon"}, call{}, 401, "token_json_invalid"},
	}
	for name, test := range tests {
		say(name, test.changes)
	}
	say("undated", map[string]any{"iat": nil, "nbf": now})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := w.start(t, introspecting)
			test.call.token = name
			if a := p.do(test.call); a.status != test.status {
				t.Errorf("%d, want %d: %s", a.status, test.status, a.body)
			}
			switch {
			case test.status == 503:
				p.decision("unavailable", test.reason)
			case test.reason != "":
				p.decision("refused", test.reason)
			}
		})
	}
	if proofs.Load() > 0 || strangers.Load() > 0 {
		t.Errorf("%d proofs reached the endpoint, %d questions were not ours", proofs.Load(), strangers.Load())
	}

	p := w.start(t, introspecting)
	if a := p.do(call{token: "unknown"}); a.status != 401 {
		t.Errorf("an unknown token: %d", a.status)
	}
	if a := p.do(call{token: w.bound()}); a.status != 200 {
		t.Errorf("a JWT: %d %s", a.status, a.body)
	}
	if a := w.start(t, nil).do(call{token: "good"}); a.status != 401 {
		t.Errorf("an opaque token where there is no introspection: %d", a.status)
	}
	if a := p.do(call{token: "undated"}); a.status != 401 {
		t.Errorf("a token without iat: %d", a.status)
	}
	p.decision("refused", "token_claim_missing")
	lived := maps.Clone(introspecting)
	lived["INTROSPECTION_TOKEN_LIFETIME"] = "600"
	if a := w.start(t, lived).do(call{token: "undated"}); a.status != 200 {
		t.Errorf("a token without iat, of which we know how long it lives: %d %s", a.status, a.body)
	}
	w.LimitTo("/introspect")
	w.SetFailing(true)
	if a := p.do(call{token: "good"}); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("the endpoint out of order: %d", a.status)
	}
	w.SetFailing(false)
	w.SetRedirect("/elsewhere")
	if a := p.do(call{token: "good"}); a.status != 503 || w.FetchesOf("/elsewhere") > 0 {
		t.Errorf("a redirect: %d", a.status)
	}
	p.Kill()
	if out := p.Text(); len(out) == 0 || strings.Contains(out, "a secret") || strings.Contains(out, "a+secret") {
		t.Error("the secret was logged")
	}
}
