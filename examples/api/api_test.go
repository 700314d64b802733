package main

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
)

func claim(name string, value any) func(*poptest.Token) {
	return func(t *poptest.Token) { t.Claims = map[string]any{name: value} }
}

// scope replaces the scopes of a token.
func scope(s string) func(*poptest.Token) { return func(t *poptest.Token) { t.Scope = s } }

// Good and bad requests, on both listeners.
func TestRequests(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	thief := poptest.Keyed("ES256", "thief")
	recent := func(t *poptest.Token) {
		t.Claims = map[string]any{"acr": "urn:interop:gold", "auth_time": time.Now().Unix()}
	}
	for name, test := range map[string]struct {
		call   call
		status int
		code   string
		reason string // in the log
	}{
		"GET read":                {call{token: w.bound()}, 200, "", ""},
		"POST read":               {call{method: "POST", token: w.bound()}, 200, "", ""},
		"GET write":               {call{path: "/api/write", token: w.bound()}, 200, "", ""},
		"POST write":              {call{method: "POST", path: "/api/write", token: w.bound(), body: "{}"}, 200, "", ""},
		"an item":                 {call{path: "/api/items/7", token: w.bound()}, 200, "", ""},
		"an item by its escape":   {call{path: "/api/items/a%2Fb", token: w.bound()}, 200, "", ""},
		"step-up, fresh":          {call{path: "/api/stepup", token: w.bound(recent)}, 200, "", ""},
		"no credentials":          {call{}, 401, "", "credentials_missing"},
		"no proof":                {call{token: w.bound(), noProof: true}, 401, "invalid_dpop_proof", "proof_missing"},
		"a bound token as bearer": {call{token: w.bound(), scheme: "Bearer", noProof: true}, 401, "invalid_token", "bound_token_as_bearer"},
		"an unbound token":        {call{token: w.bound(func(t *poptest.Token) { t.JKT = "" })}, 401, "invalid_token", "token_unbound"},
		"a thief's key":           {call{token: w.bound(), proof: func(p *poptest.Proof) { p.Key = thief }}, 401, "invalid_token", "key_mismatch"},
		"a proof for another URL": {call{token: w.bound(), proof: func(p *poptest.Proof) { p.URL += "/x" }}, 401, "invalid_dpop_proof", "htu_mismatch"},
		"a proof for POST":        {call{token: w.bound(), proof: func(p *poptest.Proof) { p.Method = "POST" }}, 401, "invalid_dpop_proof", "htm_mismatch"},
		"an old proof":            {call{token: w.bound(), noRetry: true, proof: func(p *poptest.Proof) { p.IssuedAt = time.Now().Add(-90 * time.Second) }}, 401, "invalid_dpop_proof", "iat_too_old"},
		"another API's token":     {call{token: w.bound(func(t *poptest.Token) { t.Audience = "https://other.example.com" })}, 401, "invalid_token", "token_audience_wrong"},
		"an expired token":        {call{token: w.bound(func(t *poptest.Token) { t.IssuedAt = time.Now().Add(-10 * time.Minute) })}, 401, "invalid_token", "token_expired"},
		"a token for an hour":     {call{token: w.bound(func(t *poptest.Token) { t.Lifetime = time.Hour })}, 401, "invalid_token", "token_lifetime_too_long"},
		"an ID token":             {call{token: w.bound(func(t *poptest.Token) { t.Header = map[string]any{"typ": "JWT"} })}, 401, "invalid_token", "token_typ_wrong"},
		"the scope missing":       {call{path: "/api/write", token: w.bound(scope("read"))}, 403, "insufficient_scope", "scope_missing"},
		"step-up, no login":       {call{path: "/api/stepup", token: w.bound()}, 401, "insufficient_user_authentication", "login_too_old"},
		"step-up, silver":         {call{path: "/api/stepup", token: w.bound(func(t *poptest.Token) { recent(t); t.Claims["acr"] = "silver" })}, 401, "insufficient_user_authentication", "login_too_weak"},
		"step-up, an old login":   {call{path: "/api/stepup", token: w.bound(func(t *poptest.Token) { recent(t); t.Claims["auth_time"] = time.Now().Unix() - 320 })}, 401, "insufficient_user_authentication", "login_too_old"},
		"the token twice":         {call{path: "/api/read?access_token=x", token: w.bound()}, 400, "invalid_request", "token_sent_twice"},
		"a host not listed":       {call{token: w.bound(), header: map[string]string{"Host": "evil.example.com"}}, 401, "invalid_dpop_proof", "host_unknown"},
		"nowhere":                 {call{path: "/api/nowhere", token: w.bound()}, 404, "", ""},
	} {
		for _, listener := range []string{"plain", "TLS"} {
			t.Run(name+", "+listener, func(t *testing.T) {
				c := test.call
				c.tls = listener == "TLS"
				a := p.do(c)
				if a.status != test.status || a.code() != test.code {
					t.Fatalf("%d %q, want %d %q\n%s", a.status, a.code(), test.status, test.code, a.body)
				}
				if test.reason != "" {
					p.decision("refused", test.reason)
				}
				if a.status == 200 && (!strings.Contains(a.body, `"subject":"user-1"`) || !strings.Contains(a.body, `"binding":"DPoP"`)) {
					t.Errorf("body %s", a.body)
				}
				if a.status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "DPoP ") {
					t.Errorf("challenges %q", a.header["Www-Authenticate"])
				}
			})
		}
	}
}

// A proof is good once, also at the other listener of the same program.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	token := w.bound()
	nonce := p.do(call{token: token, noRetry: true}).header.Get("DPoP-Nonce")
	same := call{token: token, proof: func(p *poptest.Proof) { p.JTI, p.Nonce = "one", nonce }}
	if a := p.do(same); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := p.do(same); a.status != 401 || a.code() != "invalid_dpop_proof" {
		t.Errorf("%d %q", a.status, a.code())
	}
	p.decision("refused", "proof_replayed")
}

// One line a decision, with what an operator looks for, and nothing secret in all that was printed.
func TestLogLines(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, env{"LOG_LEVEL": "debug"})
	token := w.bound()
	var sent []string
	note := func(p *poptest.Proof) { sent = append(sent, p.String()) }
	p.do(call{path: "/api/items/7", token: token, proof: note})
	p.do(call{token: token, proof: func(p *poptest.Proof) { p.URL += "x"; note(p) }})
	line := p.decision("accepted", "")
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request accepted", "issuer": w.URL(), "client": "client-1", "route": "/api/items/:id",
		"thumbprint": poptest.ClientKey().Thumbprint(), "method": "GET",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if d, ok := line["duration"].(float64); !ok || d <= 0 {
		t.Errorf("duration %v", line["duration"])
	}
	line = p.decision("refused", "htu_mismatch")
	if line["expected"] != plainOrigin+"/api/read" || line["received"] != plainOrigin+"/api/readx" || line["status"] != 401.0 {
		t.Errorf("line %v", line)
	}
	p.Kill()
	for _, secret := range append(sent, token) {
		signature := secret[strings.LastIndex(secret, ".")+1:]
		if out := p.Text(); strings.Contains(out, secret) || strings.Contains(out, signature) || strings.Contains(out, "eyJ") {
			t.Errorf("a token or a proof was printed:\n%s", out)
		}
	}
	decisions := 0
	for _, text := range p.Lines() {
		switch line := parsed(text); {
		case line == nil:
			t.Errorf("a line is not JSON: %s", text)
		case line["outcome"] != nil:
			decisions++
		}
	}
	if decisions != 3 { // accepted after a challenge for a nonce, and the refusal
		t.Errorf("%d lines for 3 requests", decisions)
	}
}

// MAX_AGE and SKEW move the bounds of iat. A proof within them is refused here only because the process has just started.
func TestTimesOfProofs(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		env    env
		off    time.Duration
		reason string
	}{
		"old":              {env{}, -4 * time.Minute, "iat_too_old"},
		"old, accepted":    {env{"MAX_AGE": "300"}, -4 * time.Minute, "iat_before_start"},
		"too old as well":  {env{"MAX_AGE": "300"}, -6 * time.Minute, "iat_too_old"},
		"ahead":            {env{}, 4 * time.Minute, "iat_in_future"},
		"ahead, accepted":  {env{"SKEW": "300"}, 4 * time.Minute, "iat_before_start"},
		"ahead by too far": {env{"SKEW": "300"}, 6 * time.Minute, "iat_in_future"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.start(t, test.env)
			p.do(call{token: w.bound(), noRetry: true, proof: func(p *poptest.Proof) { p.IssuedAt = time.Now().Add(test.off) }})
			p.decision("refused", test.reason)
		})
	}
}

// Nonces that are required, that age, and that any answer renews.
func TestRequiredNonces(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, env{"DPOP_NONCE": "required", "DPOP_NONCE_TTL": "1"})
	token := w.bound()
	a := p.do(call{token: token, noRetry: true})
	nonce := a.header.Get("DPoP-Nonce")
	if a.status != 401 || a.code() != "use_dpop_nonce" || nonce == "" {
		t.Fatalf("%d %q %q", a.status, a.code(), nonce)
	}
	p.decision("refused", "nonce_missing")
	accepted := 0
	for end := time.Now().Add(patience); ; {
		a = p.do(call{token: token, noRetry: true, proof: func(p *poptest.Proof) { p.Nonce = nonce }})
		if a.status != 200 || time.Now().After(end) {
			break
		}
		accepted++
		if a.header.Get("DPoP-Nonce") == "" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("an accepted answer without a new nonce: %v", a.header)
		}
	}
	if accepted == 0 || a.status != 401 || a.code() != "use_dpop_nonce" {
		t.Errorf("%d accepted, then %d %q", accepted, a.status, a.code())
	}
	p.decision("refused", "nonce_old")
	if a := p.do(call{token: token, noRetry: true, proof: func(p *poptest.Proof) { p.Nonce = "made-up" }}); a.code() != "use_dpop_nonce" {
		t.Errorf("a nonce made up: %d %q", a.status, a.code())
	}
	p.decision("refused", "nonce_foreign")
}

// Two programs with one secret accept each other's nonces; without it they do not.
func TestSharedNonceSecrets(t *testing.T) {
	w := newWorld(t)
	secret := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32)))
	for name, test := range map[string]struct {
		env  env
		want int
	}{
		"shared": {env{"DPOP_NONCE": "required", "DPOP_NONCE_SECRETS": secret}, 200},
		"own":    {env{"DPOP_NONCE": "required"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := w.start(t, test.env), w.start(t, test.env)
			// A nonce counts elsewhere only if it is from after the start there plus ten seconds, while the memory of
			// proofs is not shared. So what is compared is why it is refused.
			nonce := one.do(call{token: w.bound(), noRetry: true}).header.Get("DPoP-Nonce")
			two.do(call{token: w.bound(), noRetry: true, proof: func(p *poptest.Proof) { p.Nonce = nonce }})
			if test.want == 200 {
				two.decision("refused", "iat_before_start")
			} else {
				two.decision("refused", "nonce_foreign")
			}
		})
	}
}

// Certificates: on the TLS listener, and in both fields from listed proxies only.
func TestCertificates(t *testing.T) {
	w := newWorld(t)
	ca := poptest.NewCA(t)
	self, issued := poptest.SelfSigned(t, "client"), ca.Issue(t, "client")
	other := poptest.SelfSigned(t, "other")
	token := w.bound(func(t *poptest.Token) { t.JKT, t.X5T = "", poptest.X5T(self.Leaf) })
	issuedToken := w.bound(func(t *poptest.Token) { t.JKT, t.X5T = "", poptest.X5T(issued.Leaf) })
	both := w.bound(func(t *poptest.Token) { t.X5T = poptest.X5T(self.Leaf) })
	escaped := map[string]string{"X-SSL-Client-Cert": url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: self.Leaf.Raw})))}
	rfc9440 := map[string]string{"Client-Cert": ":" + base64.StdEncoding.EncodeToString(self.Leaf.Raw) + ":"}
	roots := file(t, "roots.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw}))

	direct := w.start(t, nil)
	checked := w.start(t, env{"CLIENT_CA_FILE": roots})
	viaEscaped := w.start(t, env{"TRUSTED_PROXIES": "127.0.0.0/8", "CLIENT_CERT_HEADER": "x-ssl-client-cert"})
	viaRFC9440 := w.start(t, env{"TRUSTED_PROXIES": "127.0.0.0/8,::1/128", "CLIENT_CERT_HEADER": "Client-Cert"})
	elsewhere := w.start(t, env{"TRUSTED_PROXIES": "10.1.0.0/16", "CLIENT_CERT_HEADER": "Client-Cert"})
	elsewhereEscaped := w.start(t, env{"TRUSTED_PROXIES": "10.1.0.0/16", "CLIENT_CERT_HEADER": "X-SSL-Client-Cert"})

	bearer := call{token: token, scheme: "Bearer", noProof: true}
	with := func(c call, change func(*call)) call { change(&c); return c }
	for name, test := range map[string]struct {
		program *process
		call    call
		status  int
		reason  string
	}{
		"on the connection":               {direct, with(bearer, func(c *call) { c.tls, c.cert = true, &self }), 200, ""},
		"another's on the connection":     {direct, with(bearer, func(c *call) { c.tls, c.cert = true, &other }), 401, "certificate_mismatch"},
		"none on the connection":          {direct, with(bearer, func(c *call) { c.tls = true }), 401, "certificate_missing"},
		"none without TLS":                {direct, bearer, 401, "certificate_missing"},
		"a field without a proxy":         {direct, with(bearer, func(c *call) { c.header = rfc9440 }), 401, "certificate_missing"},
		"a key and a certificate":         {direct, call{token: both, tls: true, cert: &self}, 200, ""},
		"the key without the certificate": {direct, call{token: both, tls: true}, 401, "certificate_missing"},
		"a certificate, checked":          {checked, with(bearer, func(c *call) { c.token, c.tls, c.cert = issuedToken, true, &issued }), 200, ""},
		"of no authority, checked":        {checked, with(bearer, func(c *call) { c.tls, c.cert = true, &self }), 401, "certificate_untrusted"},
		"escaped PEM of a listed proxy":   {viaEscaped, with(bearer, func(c *call) { c.header = escaped }), 200, ""},
		"RFC 9440 of a listed proxy":      {viaRFC9440, with(bearer, func(c *call) { c.header = rfc9440 }), 200, ""},
		"nothing of a listed proxy":       {viaRFC9440, bearer, 401, "certificate_missing"},
		"RFC 9440 of an unlisted one":     {elsewhere, with(bearer, func(c *call) { c.header = rfc9440 }), 401, "certificate_field_foreign"},
		"escaped PEM of an unlisted one":  {elsewhereEscaped, with(bearer, func(c *call) { c.header = escaped }), 401, "certificate_field_foreign"},
		"past the proxies, by TLS":        {elsewhere, with(bearer, func(c *call) { c.tls, c.cert = true, &self }), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := test.program.do(test.call)
			if a.status != test.status {
				t.Fatalf("%d, want %d: %s", a.status, test.status, a.body)
			}
			if test.reason != "" {
				test.program.decision("refused", test.reason)
			} else if !strings.Contains(a.body, "certificate") {
				t.Errorf("body %s", a.body)
			}
		})
	}
}

// The origin is chosen by what listed proxies say, and by nobody else.
func TestForwardedOrigin(t *testing.T) {
	w := newWorld(t)
	listed := w.start(t, env{"TRUSTED_PROXIES": "127.0.0.1/32"})
	unlisted := w.start(t, env{"TRUSTED_PROXIES": "10.1.0.0/16"})
	forwarded := func(host, proto string) map[string]string {
		return map[string]string{"Host": "pod-7:8080", "X-Forwarded-Host": host, "X-Forwarded-Proto": proto}
	}
	for name, test := range map[string]struct {
		program *process
		header  map[string]string
		origin  string
		status  int
	}{
		"a listed proxy":             {listed, forwarded("api.example.com", "https"), tlsOrigin, 200},
		"a host not listed":          {listed, forwarded("evil.example.com", "https"), "https://evil.example.com", 401},
		"the wrong scheme":           {listed, forwarded("api.example.com", "http"), "http://api.example.com", 401},
		"an unlisted proxy":          {unlisted, forwarded("api.example.com", "https"), tlsOrigin, 401},
		"no proxy, and Host is good": {unlisted, nil, plainOrigin, 200},
	} {
		t.Run(name, func(t *testing.T) {
			if a := test.program.do(call{token: w.bound(), origin: test.origin, header: test.header}); a.status != test.status {
				t.Errorf("%d, want %d: %s", a.status, test.status, a.body)
			}
		})
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t)
	const page = "https://app.example.com"
	p := w.start(t, env{"CORS_ORIGIN": page, "DPOP_NONCE": "required"})
	preflight := func(origin string) reply {
		return p.do(call{method: "OPTIONS", header: map[string]string{
			"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,dpop",
		}})
	}
	a := preflight(page)
	allowed := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != page ||
		!strings.Contains(allowed, "authorization") || !strings.Contains(allowed, "dpop") ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	if a := preflight("https://evil.example.com"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another page's preflight: %v", a.header)
	}
	token := w.bound()
	for name, c := range map[string]call{
		"refused":  {token: token, noRetry: true, header: map[string]string{"Origin": page}},
		"accepted": {token: token, header: map[string]string{"Origin": page}},
	} {
		a := p.do(c)
		exposed := strings.Join(a.header.Values("Access-Control-Expose-Headers"), ", ")
		if a.header.Get("Access-Control-Allow-Origin") != page || len(a.header.Values("Access-Control-Allow-Origin")) != 1 ||
			!strings.Contains(exposed, "DPoP-Nonce") || !strings.Contains(exposed, "WWW-Authenticate") || (a.status == 200) != (name == "accepted") {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
	if a := p.do(call{token: token, header: map[string]string{"Origin": "https://evil.example.com"}}); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another page: %v", a.header)
	}
	without := w.start(t, nil)
	if a := without.do(call{method: "OPTIONS", header: map[string]string{"Origin": page}}); a.header.Get("Access-Control-Allow-Origin") != "" || a.status != 401 {
		t.Errorf("without CORS_ORIGIN: %d %v", a.status, a.header)
	}
}

// What is for everyone: health, and the metadata to which challenges point.
func TestPublicDocuments(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, nil)
	if a := p.do(call{path: "/healthz"}); a.status != 200 || !strings.Contains(a.body, `"ok"`) {
		t.Errorf("/healthz: %d %s", a.status, a.body)
	}
	challenge := p.do(call{tls: true}).header.Get("WWW-Authenticate")
	if want := `resource_metadata="` + tlsOrigin + `/.well-known/oauth-protected-resource"`; !strings.Contains(challenge, want) {
		t.Errorf("challenge %s, want %s in it", challenge, want)
	}
	a := p.do(call{tls: true, path: "/.well-known/oauth-protected-resource"})
	var document struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Algs     []string `json:"dpop_signing_alg_values_supported"`
	}
	if err := json.Unmarshal([]byte(a.body), &document); err != nil || a.status != 200 {
		t.Fatalf("%d %v %s", a.status, err, a.body)
	}
	if document.Resource != audience || !slices.Equal(document.Servers, []string{w.URL()}) ||
		!slices.Equal(document.Scopes, []string{"read", "write"}) || !slices.Contains(document.Algs, "ES256") {
		t.Errorf("%+v", document)
	}
}

// The signing keys by an address of their own, without discovery.
func TestJWKSURI(t *testing.T) {
	w := newWorld(t)
	w.LimitTo(poptest.MetadataPath, poptest.OpenIDPath)
	w.SetFailing(true)
	if a := w.start(t, nil).do(call{token: w.bound()}); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("by discovery: %d", a.status)
	}
	p := w.start(t, env{"JWKS_URI": w.URL() + poptest.JWKSPath})
	if a := p.do(call{token: w.bound()}); a.status != 200 {
		t.Errorf("by JWKS_URI: %d %s", a.status, a.body)
	}
	untrusted := w.start(t, env{"CA_FILE": ""})
	if a := untrusted.do(call{token: w.bound()}); a.status != 503 {
		t.Errorf("without CA_FILE: %d", a.status)
	}
	untrusted.decision("unavailable", "keys_unreachable")
}

func TestLifetimeAndType(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, env{"MAX_TOKEN_LIFETIME": "3600", "ACCEPT_TYPE_JWT": "on"})
	long := w.bound(func(t *poptest.Token) { t.Lifetime = time.Hour })
	if a := p.do(call{token: long}); a.status != 200 {
		t.Errorf("an hour: %d %s", a.status, a.body)
	}
	typed := w.bound(func(t *poptest.Token) { t.Header = map[string]any{"typ": "JWT"} })
	if a := p.do(call{token: typed}); a.status != 200 {
		t.Errorf("typ JWT: %d %s", a.status, a.body)
	}
}

// Two programs share the memory of proofs, and revocations.
func TestRedis(t *testing.T) {
	w := newWorld(t)
	shared := env{
		"REPLAY_REDIS_URL":   "redis://" + redistest.Start(t, "--maxmemory-policy", "noeviction").Addr + "?timeout=10s",
		"DPOP_NONCE_SECRETS": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32))),
	}
	one, two := w.start(t, shared), w.start(t, shared)
	token := w.bound()
	nonce := one.do(call{token: token, noRetry: true}).header.Get("DPoP-Nonce")
	same := call{token: token, proof: func(p *poptest.Proof) {
		p.JTI = "one"
		if nonce != "" {
			p.Nonce = nonce
		}
	}}
	first := one.do(same)
	if first.status != 200 {
		// Redis has just begun, too: a nonce counts at the instance that issued it.
		t.Fatalf("%d %q", first.status, first.code())
	}
	if a := two.do(same); a.status != 401 {
		t.Errorf("the same proof at the other: %d", a.status)
	}
	two.revoke(`{"by":"subject","value":"user-1"}`)
	if a := one.do(call{token: token}); a.status != 401 || a.code() != "invalid_token" {
		t.Errorf("after the other revoked: %d %q", a.status, a.code())
	}
	one.decision("refused", "subject_revoked")
	if err := run(t.Context(), nil, func(name string) string {
		return w.env.with(env{"REPLAY_REDIS_URL": "redis://:secret@127.0.0.1:" + freePort(t)})[name]
	}, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "REPLAY_REDIS_URL is not usable: set the URL") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a Redis that does not answer: %v", err)
	}
}

func (p *process) revoke(body string) {
	p.t.Helper()
	a := p.do(call{method: "POST", path: "/revoke", port: "ADMIN_PORT", body: body, header: map[string]string{"Content-Type": "application/json"}})
	if a.status != http.StatusOK {
		p.t.Fatalf("revoke %s: %d %s", body, a.status, a.body)
	}
}
