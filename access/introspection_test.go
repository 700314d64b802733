package access_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

// endpoint is an authorization server's introspection as a test wants it.
type endpoint struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request)
	asked  atomic.Int32
	mu     sync.Mutex
	last   *http.Request // its form has been read
}

// claims are a good answer, bound to poptest.ClientKey.
func answerClaims(changes map[string]any) map[string]any {
	claims := map[string]any{
		"active": true, "iss": poptest.Issuer, "aud": poptest.Audience, "sub": "user-1", "client_id": "client-1", "scope": "accounts:read",
		"iat": poptest.Now.Unix(), "exp": poptest.Now.Unix() + 300, "token_type": "DPoP", "jti": "t-1",
		"cnf": map[string]any{"jkt": poptest.ClientKey().Thumbprint()},
	}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func newEndpoint(t testing.TB, changes map[string]any) *endpoint {
	t.Helper()
	body, err := json.Marshal(answerClaims(changes))
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		_ = r.ParseForm()
		e.mu.Lock()
		e.last = r
		e.mu.Unlock()
		e.answer(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

// introspecting is a guard that asks the endpoint.
func introspecting(t testing.TB, e *endpoint, changes ...func(*access.IntrospectionConfig)) *setup {
	return newGuard(t, func(s *setup) {
		config := access.IntrospectionConfig{
			Endpoint: e.URL + "/introspect", Issuer: poptest.Issuer, Audience: poptest.Audience,
			ClientID: "api one", ClientSecret: "s:cret", Now: s.clock.Now,
		}
		for _, change := range changes {
			change(&config)
		}
		i, err := access.NewIntrospection(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := i.Close(); err != nil {
				t.Error(err)
			}
		})
		s.Issuers, s.Tokens, s.Certificates, s.introspection = nil, i, mtls.FromTLS, i
	})
}

func TestIntrospection(t *testing.T) {
	own := poptest.SelfSigned(t, "client")
	thief := poptest.Keyed("ES256", "thief")
	x5t := map[string]any{"x5t#S256": poptest.X5T(own.Leaf)}
	invalid := func(reason string) refusal { return refusal{401, "invalid_token", reason} }
	for name, test := range map[string]struct {
		answer map[string]any
		r      *http.Request
		want   refusal // zero: accepted
	}{
		"RS-033 bound, by its owner":              {nil, owner("opaque"), refusal{}},
		"RS-033 by another key":                   {nil, get("DPoP opaque", poptest.Proof{Token: "opaque", Key: thief}.String()), invalid("key_mismatch")},
		"RS-033 as bearer":                        {nil, get("Bearer opaque", ""), invalid("bound_token_as_bearer")},
		"RS-034 called Bearer, by its owner":      {map[string]any{"token_type": "Bearer"}, owner("opaque"), refusal{}},
		"RS-034 called Bearer, as bearer":         {map[string]any{"token_type": "Bearer"}, get("Bearer opaque", ""), invalid("bound_token_as_bearer")},
		"RS-088 with its certificate":             {map[string]any{"cnf": x5t, "token_type": "Bearer"}, with(get("Bearer opaque", ""), own), refusal{}},
		"RS-088 with another":                     {map[string]any{"cnf": x5t, "token_type": "Bearer"}, with(get("Bearer opaque", ""), poptest.SelfSigned(t, "x")), invalid("certificate_mismatch")},
		"RS-088 with none":                        {map[string]any{"cnf": x5t, "token_type": "Bearer"}, get("Bearer opaque", ""), invalid("certificate_missing")},
		"no iss":                                  {map[string]any{"iss": nil}, owner("opaque"), refusal{}},
		"a JWT that only its issuer may judge":    {nil, owner(bound()), refusal{}},
		"RS-034 called DPoP and bound to nothing": {map[string]any{"cnf": nil}, get("Bearer opaque", ""), invalid("token_cnf_not_understood")},
		"inactive, with an odd claim":             {map[string]any{"active": false, "sub": 7}, owner("opaque"), invalid("token_inactive")},
		"inactive":                                {map[string]any{"active": false}, owner("opaque"), invalid("token_inactive")},
		"unbound":                                 {map[string]any{"cnf": nil, "token_type": nil}, get("Bearer opaque", ""), invalid("token_unbound")},
		"another issuer":                          {map[string]any{"iss": "https://evil.example.com"}, owner("opaque"), invalid("token_issuer_unknown")},
		"another audience":                        {map[string]any{"aud": []string{"x"}}, owner("opaque"), invalid("token_audience_wrong")},
		"no audience":                             {map[string]any{"aud": nil}, owner("opaque"), invalid("token_audience_wrong")},
		"expired":                                 {map[string]any{"exp": poptest.Now.Unix() - 60}, owner("opaque"), invalid("token_expired")},
		"no exp":                                  {map[string]any{"exp": nil}, owner("opaque"), invalid("token_claim_missing")},
		"no iat":                                  {map[string]any{"iat": nil}, owner("opaque"), invalid("token_claim_missing")},
		"lives too long":                          {map[string]any{"exp": poptest.Now.Unix() + 3600}, owner("opaque"), invalid("token_lifetime_too_long")},
		"cnf that is not understood":              {map[string]any{"cnf": map[string]any{"kid": "x"}}, owner("opaque"), invalid("token_cnf_not_understood")},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := introspecting(t, newEndpoint(t, test.answer)).Check(test.r)
			if test.want != (refusal{}) {
				expect(t, err, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var all struct {
				Active bool `json:"active"`
			}
			if err := grant.Claims(&all); err != nil || !all.Active || grant.Issuer != poptest.Issuer || grant.Subject != "user-1" || !grant.HasScopes("accounts:read") {
				t.Errorf("%+v, %v", grant.Token, err)
			}
		})
	}
}

func TestIntrospectionSettingsThatAccept(t *testing.T) {
	s := introspecting(t, newEndpoint(t, map[string]any{"aud": nil}), func(i *access.IntrospectionConfig) { i.AcceptNoAudience = true })
	if _, err := s.Check(owner("opaque")); err != nil {
		t.Errorf("without aud: %v", err)
	}
	s = introspecting(t, newEndpoint(t, map[string]any{"aud": "x"}), func(i *access.IntrospectionConfig) { i.AcceptNoAudience = true })
	_, err := s.Check(owner("opaque"))
	expect(t, err, refusal{401, "invalid_token", "token_audience_wrong"})

	lifetime := func(d time.Duration) func(*access.IntrospectionConfig) {
		return func(i *access.IntrospectionConfig) { i.TokenLifetime = d }
	}
	s = introspecting(t, newEndpoint(t, map[string]any{"iat": nil}), lifetime(10*time.Minute))
	if grant, err := s.Check(owner("opaque")); err != nil || !grant.IssuedAt.Equal(poptest.Now.Add(-5*time.Minute)) {
		t.Errorf("without iat: %v", err)
	}
	s = introspecting(t, newEndpoint(t, map[string]any{"iat": nil}), lifetime(time.Hour))
	_, err = s.Check(owner("opaque"))
	expect(t, err, refusal{401, "invalid_token", "token_lifetime_too_long"})
}

// RS-150: a login is judged the same way, whichever way the token came.
func TestStepUpForBothKindsOfToken(t *testing.T) {
	claims := map[string]any{"acr": "silver", "auth_time": poptest.Now.Unix() - 60}
	opaque := introspecting(t, newEndpoint(t, claims))
	jwt := newGuard(t)
	for name, q := range map[string]access.Requirement{
		"":               {MaxAuthAge: time.Minute, ACRValues: []string{"gold", "silver"}},
		"login_too_weak": {ACRValues: []string{"gold"}},
		"login_too_old":  {MaxAuthAge: 40 * time.Second},
	} {
		for kind, ask := range map[string]struct {
			guard *setup
			r     *http.Request
		}{
			"opaque": {opaque, owner("opaque")},
			"JWT":    {jwt, owner(bound(claim("acr", "silver"), claim("auth_time", poptest.Now.Unix()-60)))},
		} {
			grant, err := ask.guard.Check(ask.r)
			if err != nil {
				t.Fatal(err)
			}
			if err := ask.guard.Allow(ask.r, grant, q); reason.Of(err) != name {
				t.Errorf("%s: %v, want %q", kind, err, name)
			}
		}
	}
}

// RS-035 and RFC 7662 §2.1: what is sent, and what is not.
func TestIntrospectionRequest(t *testing.T) {
	key := poptest.Keyed("ES256", "resource server")
	for name, test := range map[string]struct {
		change func(*access.IntrospectionConfig)
		check  func(*testing.T, *http.Request)
	}{
		"basic": {func(*access.IntrospectionConfig) {}, func(t *testing.T, r *http.Request) {
			if id, secret, _ := r.BasicAuth(); id != "api+one" || secret != "s%3Acret" || r.PostForm.Has("client_id") {
				t.Errorf("credentials %q %q", id, secret)
			}
		}},
		"post": {func(i *access.IntrospectionConfig) { i.SecretInBody = true }, func(t *testing.T, r *http.Request) {
			if r.Header["Authorization"] != nil || r.PostForm.Get("client_id") != "api one" || r.PostForm.Get("client_secret") != "s:cret" {
				t.Errorf("%v %v", r.Header, r.PostForm)
			}
		}},
		"private_key_jwt": {func(i *access.IntrospectionConfig) {
			i.ClientSecret, i.Key, i.KeyAlgorithm, i.KeyID = "", key.Private, "ES256", "rs-1"
		}, func(t *testing.T, r *http.Request) {
			compact, err := jose.Split(r.PostForm.Get("client_assertion"))
			if err != nil {
				t.Fatal(err)
			}
			jwk, err := json.Marshal(key.JWK())
			if err != nil {
				t.Fatal(err)
			}
			public, err := jose.ParseKey(jwk, 0)
			if err != nil {
				t.Fatal(err)
			}
			header, err := jose.ParseHeader(compact.Header)
			var c struct {
				Iss, Sub, Aud, Jti string
				Iat, Exp           int64
			}
			raw, err2 := jose.Decode(compact.Payload)
			if err := errors.Join(err, err2, public.Verify("ES256", compact), json.Unmarshal(raw, &c)); err != nil {
				t.Fatal(err)
			}
			if header.KeyID != "rs-1" || c.Iss != "api one" || c.Sub != "api one" || c.Aud != poptest.Issuer || len(c.Jti) < 20 || c.Exp-c.Iat != 60 {
				t.Errorf("%+v %+v", header, c)
			}
			if r.PostForm.Get("client_id") != "api one" || r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || r.Header.Get("Authorization") != "" {
				t.Errorf("%v %v", r.Header, r.PostForm)
			}
		}},
		"an access token": {func(i *access.IntrospectionConfig) {
			i.ClientID, i.ClientSecret = "", ""
			i.AccessToken = func(context.Context) (string, error) { return "of-its-own", nil }
		}, func(t *testing.T, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer of-its-own" || r.PostForm.Has("client_id") {
				t.Errorf("%v %v", r.Header, r.PostForm)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			if _, err := introspecting(t, e, test.change).Check(owner("opaque")); err != nil {
				t.Fatal(err)
			}
			if e.last.Method != "POST" || e.last.PostForm.Get("token") != "opaque" || e.last.Header.Get("DPoP") != "" || e.last.URL.RawQuery != "" {
				t.Errorf("%s %v %v", e.last.Method, e.last.Header, e.last.PostForm)
			}
			test.check(t, e.last)
		})
	}
}

// RS-180: an endpoint that does not answer as it should is our own trouble, whatever it says.
func TestIntrospectionTrouble(t *testing.T) {
	answer := func(status int, kind, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		reply func(http.ResponseWriter, *http.Request)
		want  string
	}{
		"500":                       {answer(500, "application/json", `{"active":true}`), "introspection_unreachable"},
		"our credentials are wrong": {answer(401, "application/json", `{"error":"invalid_client"}`), "introspection_unreachable"},
		"HTML":                      {answer(200, "text/html", "<p>"), "introspection_unreachable"},
		"not JSON":                  {answer(200, "application/json", "active"), "json_invalid"},
		"no active":                 {answer(200, "application/json", `{}`), "introspection_unreachable"},
		"active null":               {answer(200, "application/json", `{"active":null}`), "introspection_unreachable"},
		"active as text":            {answer(200, "application/json", `{"active":"true"}`), "json_invalid"},
		"active twice":              {answer(200, "application/json", `{"active":false,"active":true}`), "json_invalid"},
		"a 400 about our question":  {answer(400, "application/json", `{"error":"invalid_request"}`), "introspection_unreachable"},
		"a 400 about our client":    {answer(400, "application/json", `{"error":"unauthorized_client"}`), "introspection_unreachable"},
		"a 400 without a word":      {answer(400, "application/json", ``), "introspection_unreachable"},
		"a 400 with more behind":    {answer(400, "application/json", `{"error":"invalid_token"} x`), "introspection_unreachable"},
		"a 400 that is cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"error":"invalid_token"}`)
		}, "introspection_unreachable"},
		"a 400 in HTML":           {answer(400, "text/html", `<p>unsupported_token_type`), "introspection_unreachable"},
		"a 403 that speaks of it": {answer(403, "application/json", `{"error":"invalid_token"}`), "introspection_unreachable"},
		"too long":                {answer(200, "application/json", `{"active":false,"x":"`+strings.Repeat("x", 300_000)+`"}`), "introspection_unreachable"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "introspection_unreachable"},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "introspection_unreachable"},
		"a head that never ends": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil { // until the client has had enough
				_, err = io.WriteString(conn, "X-More: "+strings.Repeat("x", 1000)+"\r\n")
			}
		}, "introspection_unreachable"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"active":true`)
		}, "introspection_unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			e.answer = test.reply
			_, err := introspecting(t, e, func(i *access.IntrospectionConfig) { i.Timeout = 300 * time.Millisecond }).Check(owner("opaque-secret"))
			refused := expect(t, err, refusal{503, "", test.want})
			if got := refused.Error(); strings.Contains(got, "opaque-secret") || strings.Contains(got, "s:cret") {
				t.Errorf("a secret is in the log: %s", got)
			}
			if n := e.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
			if name == "our credentials are wrong" && !strings.Contains(refused.Error(), "refuses our credentials, those of client") {
				t.Errorf("the log says %s", refused)
			}
		})
	}
	e := newEndpoint(t, nil)
	e.Close()
	_, err := introspecting(t, e).Check(owner("opaque"))
	expect(t, err, refusal{503, "", "introspection_unreachable"})
}

func TestIntrospectionCache(t *testing.T) {
	e := newEndpoint(t, nil)
	s := introspecting(t, e, func(i *access.IntrospectionConfig) { i.CacheFor = time.Minute })
	call := func() error {
		_, err := s.Check(get("DPoP opaque", poptest.Proof{Token: "opaque", IssuedAt: s.clock.Now()}.String()))
		s.Tokens.(*access.Introspection).WaitForCache()
		return err
	}
	for range 3 {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.asked.Load(); n != 1 {
		t.Errorf("asked %d times within a minute", n)
	}
	s.clock.Advance(time.Minute)
	if err := call(); err != nil || e.asked.Load() != 2 {
		t.Errorf("after it: asked %d times, %v", e.asked.Load(), err)
	}
	s.clock.Set(poptest.Now.Add(270 * time.Second))
	if err := call(); err != nil || e.asked.Load() != 3 {
		t.Errorf("near its end: asked %d times, %v", e.asked.Load(), err)
	}
	s.clock.Set(poptest.Now.Add(301 * time.Second)) // within the leeway, and past what may be kept
	if err := call(); err != nil || e.asked.Load() != 4 {
		t.Errorf("past exp: asked %d times, %v", e.asked.Load(), err)
	}

	e = newEndpoint(t, nil) // off unless asked for
	s = introspecting(t, e)
	for range 2 {
		if _, err := s.Check(owner("opaque")); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.asked.Load(); n != 2 {
		t.Errorf("asked %d times, want every time", n)
	}
}

// A token of any size may come from anybody; the authorization server is not made to read it.
func TestIntrospectionSize(t *testing.T) {
	for name, test := range map[string]struct {
		token string
		set   int
		want  refusal // zero: accepted
		asked int32
	}{
		"as large as may be":         {strings.Repeat("+", access.DefaultMaxTokenSize), 0, refusal{}, 1},
		"larger by one":              {strings.Repeat("+", access.DefaultMaxTokenSize+1), 0, refusal{401, "invalid_token", "token_too_large"}, 0},
		"almost all of the header":   {strings.Repeat("+", 900_000), 0, refusal{401, "invalid_token", "token_too_large"}, 0},
		"larger than the set size":   {strings.Repeat("a", 513), 512, refusal{401, "invalid_token", "token_too_large"}, 0},
		"within the set larger size": {strings.Repeat("a", 20_000), 32 << 10, refusal{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			_, err := introspecting(t, e, func(i *access.IntrospectionConfig) { i.MaxSize = test.set }).Check(owner(test.token))
			if test.want != (refusal{}) {
				expect(t, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
			if n := e.asked.Load(); n != test.asked {
				t.Errorf("asked %d times, want %d", n, test.asked)
			}
		})
	}
}

// A flood of tokens does not become a flood of questions, over however many connections they go: beyond the bound a
// request is refused at once and waits for nobody. Tokens that were good before have a bound of their own.
func TestIntrospectionFlood(t *testing.T) {
	const most, flood = 256, 600
	e := newEndpoint(t, nil)
	e.Server.Close()
	answer, release := e.answer, make(chan struct{})
	var asked, open, greatest atomic.Int32
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		now := open.Add(1)
		defer open.Add(-1)
		for seen := greatest.Load(); now > seen && !greatest.CompareAndSwap(seen, now); seen = greatest.Load() {
		}
		if strings.HasPrefix(r.FormValue("token"), "stranger") {
			<-release
		}
		answer(w, r)
	}))
	server.Config.Protocols = protocols
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 10_000}
	server.Start()
	t.Cleanup(server.Close)
	// Over one connection, whose streams nothing else bounds.
	one := &http.Transport{Protocols: new(http.Protocols)}
	one.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(one.CloseIdleConnections)
	s := introspecting(t, e, func(i *access.IntrospectionConfig) {
		i.Endpoint, i.Timeout, i.HTTPClient = server.URL, time.Minute, &http.Client{Transport: one}
	})
	if _, err := s.Check(owner("regular")); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	results := make(chan error, flood)
	for n := range flood {
		group.Go(func() {
			_, err := s.Check(owner(fmt.Sprint("stranger-", n)))
			results <- err
		})
	}
	for range flood - most { // those beyond the bound come back while the others wait
		expect(t, <-results, refusal{503, "", "introspection_busy"})
	}
	s.WaitForIntrospection()
	if _, err := s.Check(owner("regular")); err != nil {
		t.Errorf("a token that was good before: %v", err)
	}
	close(release)
	group.Wait()
	for range most {
		if err := <-results; err != nil {
			t.Errorf("within the bound: %v", err)
		}
	}
	if greatest.Load() > most+1 || asked.Load() != most+2 {
		t.Errorf("%d questions at once, %d in all", greatest.Load(), asked.Load())
	}
	if _, err := s.Check(owner("stranger-later")); err != nil { // what was refused holds no place
		t.Errorf("after it: %v", err)
	}
}

// Over HTTP/1.1 each question has a connection. A flood that holds as many as it can leaves some to tokens that were good
// before.
func TestIntrospectionFloodLeavesConnections(t *testing.T) {
	const most = 256
	e := newEndpoint(t, nil)
	answer, arrived, release := e.answer, make(chan struct{}, most), make(chan struct{})
	e.answer = func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.FormValue("token"), "stranger") {
			arrived <- struct{}{}
			<-release
		}
		answer(w, r)
	}
	s := introspecting(t, e, func(i *access.IntrospectionConfig) { i.Timeout = time.Minute })
	if _, err := s.Check(owner("regular")); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range most {
		group.Go(func() {
			if _, err := s.Check(owner(fmt.Sprint("stranger-", n))); err != nil {
				t.Errorf("within the bound: %v", err)
			}
		})
	}
	for range most {
		<-arrived
	}
	if _, err := s.Check(owner("regular")); err != nil {
		t.Errorf("a token that was good before: %v", err)
	}
	close(release)
	group.Wait()
}

// A token that the server does not know is not asked about again for a while.
func TestInactiveIsRemembered(t *testing.T) {
	for name, reply := range map[string]func(http.ResponseWriter){
		"inactive": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"active":false}`) },
		"RFC 7009 §2.2.1 unsupported_token_type": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"unsupported_token_type"}`)
		},
		"invalid_token": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_token"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			good := e.answer
			e.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				reply(w)
			}
			s := introspecting(t, e)
			for range 3 {
				_, err := s.Check(owner("unknown"))
				expect(t, err, refusal{401, "invalid_token", "token_inactive"})
				s.WaitForIntrospection()
			}
			if n := e.asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
			e.answer = good
			s.clock.Advance(10 * time.Second)
			if _, err := s.Check(owner("unknown")); err != nil {
				t.Errorf("later it is known: %v", err)
			}
		})
	}
}

// RFC 7662 §2.3 and RFC 6750 §3.1: what the server says of the credentials of the one who asks is our own trouble, and says
// nothing of the client's token. One of its own that asks by an access token may be refused with invalid_token.
func TestIntrospectionRefusesWhoAsks(t *testing.T) {
	byToken := func(i *access.IntrospectionConfig) {
		i.ClientID, i.ClientSecret = "", ""
		i.AccessToken = func(context.Context) (string, error) { return "of-its-own", nil }
	}
	bySecret := func(*access.IntrospectionConfig) {}
	const challenge = `Bearer error="invalid_token"`
	ours, theirs := refusal{503, "", "introspection_unreachable"}, refusal{401, "invalid_token", "token_inactive"}
	for name, test := range map[string]struct {
		asks      func(*access.IntrospectionConfig)
		status    int
		challenge string
		body      string
		want      refusal
		says      string // in the log
	}{
		"our token is refused":                        {byToken, 401, challenge, `{"error":"invalid_token"}`, ours, "refuses our access token, with 401"},
		"our token has too few scopes":                {byToken, 403, `Bearer error="insufficient_scope"`, ``, ours, "refuses our access token, with 403"},
		"our token is refused, by 400":                {byToken, 400, "", `{"error":"invalid_token"}`, ours, "400"},
		"our token is refused, by 400 with its field": {byToken, 400, challenge, `{"error":"unsupported_token_type"}`, ours, "400"},
		"our token is refused, by 200":                {byToken, 200, challenge, `{"error":"invalid_token"}`, ours, "no active"},
		"the client's is none, we ask by a token":     {byToken, 400, "", `{"error":"unsupported_token_type"}`, theirs, ""},
		"our secret is refused":                       {bySecret, 401, `Basic realm="x"`, `{"error":"invalid_client"}`, ours, `api one\", with 401`},
		"our secret is refused, by 403":               {bySecret, 403, "", `{"error":"invalid_token"}`, ours, `api one\", with 403`},
		"our secret is refused, by 400":               {bySecret, 400, "", `{"error":"invalid_client"}`, ours, "400"},
		"our secret is refused, by 400 and a field":   {bySecret, 400, `Basic realm="x"`, `{"error":"invalid_token"}`, ours, "400"},
		"the client's is none, we ask by a secret":    {bySecret, 400, "", `{"error":"invalid_token"}`, theirs, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			good := e.answer
			e.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if test.challenge != "" {
					w.Header().Set("WWW-Authenticate", test.challenge)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}
			s := introspecting(t, e, test.asks)
			_, err := s.Check(owner("opaque"))
			if refused := expect(t, err, test.want); !strings.Contains(refused.Error(), test.says) || strings.Contains(refused.Error(), "of-its-own") {
				t.Errorf("the log says %s", refused)
			}
			if e.answer = good; test.want == ours { // and nothing of it is remembered of the token
				s.WaitForIntrospection()
				if _, err := s.Check(owner("opaque")); err != nil {
					t.Errorf("once we may ask again: %v", err)
				}
			}
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// Requests with one token share a question, and one that gives up does not spoil it for the others.
func TestIntrospectionMergesQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, err := json.Marshal(answerClaims(nil))
		if err != nil {
			t.Fatal(err)
		}
		release, asked := make(chan struct{}), 0
		i, err := access.NewIntrospection(access.IntrospectionConfig{
			Endpoint: "https://login.example.com/introspect", Issuer: poptest.Issuer, Audience: poptest.Audience, ClientID: "api", ClientSecret: "x",
			Now: poptest.NewClock().Now,
			HTTPClient: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
				asked++
				<-release
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
				}, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		impatient, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := i.ValidateToken(impatient, "opaque")
			gaveUp <- err
		}()
		synctest.Wait()
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() {
				if token, err := i.ValidateToken(t.Context(), "opaque"); err != nil || token.Subject != "user-1" {
					t.Errorf("a patient one: %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, access.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("the impatient one: %v", err)
		}
		close(release)
		wait.Wait()
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// A question that ends by Timeout says why, also if it takes a moment to: no request that waits for it gives up before.
func TestIntrospectionSaysWhyItTookTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, err := access.NewIntrospection(access.IntrospectionConfig{
			Endpoint: "https://login.example.com/introspect", Issuer: poptest.Issuer, Audience: poptest.Audience, Timeout: 3 * time.Second,
			ClientID: "api", ClientSecret: "secret",
			HTTPClient: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				time.Sleep(time.Millisecond)
				return nil, errors.New("dial tcp 192.0.2.1:443: i/o timeout")
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		_, err = i.ValidateToken(t.Context(), "opaque")
		if !errors.Is(err, access.ErrUnavailable) || !strings.Contains(err.Error(), "dial tcp 192.0.2.1:443: i/o timeout") {
			t.Error(err)
		}
	})
}

// No request waits for longer than Timeout and that moment, whatever code of the application does meanwhile.
func TestIntrospectionHeedsNoContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		i, err := access.NewIntrospection(access.IntrospectionConfig{
			Endpoint: "https://login.example.com/introspect", Issuer: poptest.Issuer, Audience: poptest.Audience, Timeout: 3 * time.Second,
			AccessToken: func(context.Context) (string, error) { <-release; return "", errors.New("too late") },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		defer close(release)
		began := time.Now()
		for n := range 2 { // the second joins the question of the first
			_, err := i.ValidateToken(t.Context(), "opaque")
			if !errors.Is(err, access.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%d: %v", n, err)
			}
		}
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("both waited for %v", took)
		}
	})
}

// A question is asked apart from the request, where a panic would end the process.
func TestIntrospectionPanic(t *testing.T) {
	e := newEndpoint(t, nil)
	broken := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { panic("no more handles") })}
	s := introspecting(t, e, func(i *access.IntrospectionConfig) { i.HTTPClient = broken })
	_, err := s.Check(owner("opaque"))
	expect(t, err, refusal{503, "", "panic"})
	if !strings.Contains(err.Error(), "no more handles") {
		t.Errorf("the log does not say why: %v", err)
	}
}

func TestSignedAnswers(t *testing.T) {
	issuerKey, rsaKey := poptest.IssuerKey(), poptest.Keyed("PS256", "introspection")
	sign := func(key *poptest.Key, header, claims map[string]any) string {
		h := map[string]any{"typ": "token-introspection+jwt", "alg": key.Alg, "kid": poptest.KeyID}
		c := map[string]any{
			"iss": poptest.Issuer, "aud": "api one", "iat": poptest.Now.Unix(), "token_introspection": answerClaims(nil),
		}
		for _, change := range []struct{ into, from map[string]any }{{h, header}, {c, claims}} {
			for name, value := range change.from {
				if change.into[name] = value; value == nil {
					delete(change.into, name)
				}
			}
		}
		hj, err := json.Marshal(h)
		cj, err2 := json.Marshal(c)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return poptest.Compact(string(hj), string(cj), key)
	}
	signedType := "application/token-introspection+jwt"
	for name, test := range map[string]struct {
		kind, body string
		want       refusal
	}{
		"good":              {signedType, sign(issuerKey, nil, nil), refusal{}},
		"inactive":          {signedType, sign(issuerKey, nil, map[string]any{"token_introspection": map[string]any{"active": false}}), refusal{401, "invalid_token", "token_inactive"}},
		"plain JSON":        {"application/json", `{"active":true}`, refusal{503, "", "introspection_unreachable"}},
		"tampered":          {signedType, poptest.Tampered(sign(issuerKey, nil, nil)), refusal{503, "", "signature_invalid"}},
		"by PS256":          {signedType, sign(rsaKey, map[string]any{"kid": "rsa"}, nil), refusal{}},
		"with another salt": {signedType, poptest.Salted(sign(rsaKey, map[string]any{"kid": "rsa"}, nil), rsaKey, 20), refusal{503, "", "signature_invalid"}},
		"by another key":    {signedType, sign(poptest.Keyed("ES256", "x"), nil, nil), refusal{503, "", "signature_invalid"}},
		"an access token":   {signedType, sign(issuerKey, map[string]any{"typ": "at+jwt"}, nil), refusal{503, "", "typ_wrong"}},
		"another issuer":    {signedType, sign(issuerKey, nil, map[string]any{"iss": "x"}), refusal{503, "", "introspection_unreachable"}},
		"another client":    {signedType, sign(issuerKey, nil, map[string]any{"aud": "x"}), refusal{503, "", "introspection_unreachable"}},
		"an old answer":     {signedType, sign(issuerKey, nil, map[string]any{"iat": poptest.Now.Unix() - 61}), refusal{503, "", "introspection_unreachable"}},
		"made a minute ago": {signedType, sign(issuerKey, nil, map[string]any{"iat": poptest.Now.Unix() - 60}), refusal{}},
		"made in a minute":  {signedType, sign(issuerKey, nil, map[string]any{"iat": poptest.Now.Unix() + 61}), refusal{503, "", "introspection_unreachable"}},
		"no iat":            {signedType, sign(issuerKey, nil, map[string]any{"iat": nil}), refusal{503, "", "json_invalid"}},
		"nothing in it":     {signedType, sign(issuerKey, nil, map[string]any{"token_introspection": nil}), refusal{503, "", "introspection_unreachable"}},
		"unknown key":       {signedType, sign(issuerKey, map[string]any{"kid": "x"}, nil), refusal{503, "", "key_unknown"}},
		"crit":              {signedType, sign(issuerKey, map[string]any{"crit": []string{"x"}}, nil), refusal{503, "", "crit_present"}},
		"not a JWT":         {signedType, "x", refusal{503, "", "jws_malformed"}},
		"a broken claimset": {signedType, poptest.Compact(`{"typ":"token-introspection+jwt","alg":"ES256","kid":"k1"}`, "[]", issuerKey), refusal{503, "", "json_invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			e.answer = func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept"); got != signedType {
					t.Errorf("Accept %q", got)
				}
				w.Header().Set("Content-Type", test.kind)
				_, _ = io.WriteString(w, test.body)
			}
			s := introspecting(t, e, func(i *access.IntrospectionConfig) {
				i.SignedAnswers, i.JWKS = true, poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: issuerKey, "rsa": rsaKey})
				i.CacheFor = time.Minute
			})
			_, err := s.Check(owner("opaque"))
			if test.want == (refusal{}) {
				if err != nil {
					t.Error(err)
				}
				return
			}
			expect(t, err, test.want)
		})
	}
}

// JWTs and opaque tokens at one API, each judged by whom it concerns.
func TestByForm(t *testing.T) {
	e := newEndpoint(t, map[string]any{"iss": "https://opaque.example.com", "sub": "opaque user"})
	s := introspecting(t, e, func(i *access.IntrospectionConfig) { i.Issuer = "https://opaque.example.com" })
	both := newGuard(t, func(b *setup) { b.Tokens, b.Resources = s.Tokens, resource() })
	for name, test := range map[string]struct {
		token, subject string
		asked          int32
	}{
		"a JWT of an issuer that is known":   {bound(), "user-1", 0},
		"an opaque token":                    {"opaque", "opaque user", 1},
		"a JWT of the introspected issuer":   {bound(claim("iss", "https://opaque.example.com")), "opaque user", 2},
		"three parts that are no JWT at all": {"a.b.c", "opaque user", 3},
	} {
		t.Run(name, func(t *testing.T) {
			before := e.asked.Load()
			grant, err := both.Check(owner(test.token))
			if err != nil || grant.Subject != test.subject || (e.asked.Load() > before) != (test.asked > 0) {
				t.Errorf("%v, %v", grant, err)
			}
		})
	}
	_, err := both.Check(owner(poptest.Tampered(bound())))
	expect(t, err, refusal{401, "invalid_token", "token_signature_invalid"})
	if got := fmt.Sprint(both.Metadata().AuthorizationServers); got != "["+poptest.Issuer+" https://opaque.example.com]" {
		t.Errorf("issuers %s", got)
	}
}

// An application's own tokens: random strings of which it keeps only hashes.
func TestOwnTableOfTokens(t *testing.T) {
	table := map[[sha256.Size]byte]*access.Token{
		sha256.Sum256([]byte("4b1d-random")): {
			Issuer: "https://api.example.com", Subject: "user-7", IssuedAt: poptest.Now, Expiry: poptest.Now.Add(time.Minute),
			Confirmation: access.Confirmation{JKT: poptest.ClientKey().Thumbprint()},
		},
	}
	lookup := access.ValidatorFunc(func(_ context.Context, token string) (*access.Token, error) {
		if t := table[sha256.Sum256([]byte(token))]; t != nil {
			return t, nil
		}
		return nil, access.ErrTokenInactive
	})
	s := newGuard(t, func(s *setup) { s.Tokens = lookup })
	for token, subject := range map[string]string{"4b1d-random": "user-7", bound(): "user-1"} {
		if grant, err := s.Check(owner(token)); err != nil || grant.Subject != subject {
			t.Errorf("%v, %v", grant, err)
		}
	}
	_, err := s.Check(owner("4b1d-guess"))
	expect(t, err, refusal{401, "invalid_token", "token_inactive"})
}

// A time that is further away than any is told, of a token without JSON too.
func TestTokenForEver(t *testing.T) {
	s := newGuard(t, func(s *setup) {
		s.Issuers, s.Tokens = nil, access.ValidatorFunc(func(context.Context, string) (*access.Token, error) {
			return &access.Token{
				IssuedAt: poptest.Now, Expiry: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), Confirmation: access.Confirmation{JKT: poptest.ClientKey().Thumbprint()},
			}, nil
		})
	})
	_, err := s.Check(owner("opaque"))
	if e := expect(t, err, refusal{401, "invalid_token", "token_lifetime_too_long"}); !strings.Contains(e.Error(), "9999-12-31") {
		t.Error(e)
	}
}

// A JWT that is longer than any may be is not looked at: whoever knows other tokens refuses it.
func TestTokenTooLongToBeAJWT(t *testing.T) {
	token := bound(claim("note", strings.Repeat("x", 512)))
	for most, want := range map[int]string{len(token): "", len(token) - 1: "token_inactive"} {
		s := newGuard(t, func(s *setup) {
			s.MaxTokenSize = most
			s.Tokens = access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { return nil, access.ErrTokenInactive })
		})
		if _, err := s.Check(owner(token)); reason.Of(err) != want {
			t.Errorf("%d octets where %d may be: %v, want %q", len(token), most, err, want)
		}
	}
}

// What looks like a JWT and is none is an opaque token, whatever else is in it.
func TestOpaqueTokenThatResemblesAJWT(t *testing.T) {
	var asked []string
	s := newGuard(t, func(s *setup) {
		s.Tokens = access.ValidatorFunc(func(_ context.Context, token string) (*access.Token, error) {
			asked = append(asked, token)
			return nil, access.ErrTokenInactive
		})
	})
	_, payload, _ := strings.Cut(bound(), ".")
	for name, header := range map[string]string{
		"no object": `"alg"`, "more behind it": `{"alg":"ES256"}x`, "a member twice": `{"alg":"ES256","alg":"ES256"}`, "cut off": `{"alg":"ES256"`,
	} {
		token := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + payload
		_, err := s.Check(owner(token))
		if expect(t, err, refusal{401, "invalid_token", "token_inactive"}); !slices.Contains(asked, token) {
			t.Errorf("%s: nobody was asked", name)
		}
	}
}

func shows(c tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
}

// RFC 8705 §2: the server knows who asks by the certificate of the connection, and by client_id.
func TestIntrospectionByCertificate(t *testing.T) {
	e := newEndpoint(t, nil)
	secure := httptest.NewUnstartedServer(e.Config.Handler)
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	own, client := poptest.SelfSigned(t, "resource server"), secure.Client()
	s := introspecting(t, e, func(i *access.IntrospectionConfig) {
		i.Endpoint, i.HTTPClient, i.ClientSecret, i.Certificate = secure.URL, client, "", shows(own)
	})
	if _, err := s.Check(owner("opaque")); err != nil {
		t.Fatal(err)
	}
	if shown := e.last.TLS.PeerCertificates; len(shown) != 1 || !shown[0].Equal(own.Leaf) {
		t.Error("another certificate was shown")
	}
	if e.last.PostForm.Get("client_id") != "api one" || e.last.Header.Get("Authorization") != "" || e.last.PostForm.Has("client_secret") {
		t.Errorf("%v %v", e.last.Header, e.last.PostForm)
	}
	if client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate != nil {
		t.Error("the user's client was changed")
	}
}

// A token of its own that cannot be had is our own trouble, and nothing is asked.
func TestIntrospectionWithoutItsToken(t *testing.T) {
	for name, f := range map[string]func(context.Context) (string, error){
		"an error": func(context.Context) (string, error) { return "", errors.New("an error of its own") },
		"none":     func(context.Context) (string, error) { return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			s := introspecting(t, e, func(i *access.IntrospectionConfig) { i.ClientSecret, i.AccessToken = "", f })
			_, err := s.Check(owner("opaque"))
			expect(t, err, refusal{503, "", "introspection_unreachable"})
			if n := e.asked.Load(); n != 0 || name == "an error" && !strings.Contains(err.Error(), "an error of its own") {
				t.Errorf("asked %d times, %v", n, err)
			}
		})
	}
}

func TestIntrospectionSettings(t *testing.T) {
	key := poptest.Keyed("ES256", "resource server")
	for want, change := range map[string]func(*access.IntrospectionConfig){
		`Endpoint is ""`:                    func(i *access.IntrospectionConfig) { i.Endpoint = "" },
		`Endpoint is "http://a.example"`:    func(i *access.IntrospectionConfig) { i.Endpoint = "http://a.example" },
		`Endpoint is "ftp://a.example"`:     func(i *access.IntrospectionConfig) { i.Endpoint, i.InsecureAllowHTTP = "ftp://a.example", true },
		`Endpoint is "https://…"`:           func(i *access.IntrospectionConfig) { i.Endpoint = "https://u@a.example" },
		`Endpoint is "https://a.example/…"`: func(i *access.IntrospectionConfig) { i.Endpoint = "https://a.example/#a" },
		`Endpoint is "…"`:                   func(i *access.IntrospectionConfig) { i.Endpoint = "https://a.example/%zz" },
		"Issuer is empty":                   func(i *access.IntrospectionConfig) { i.Issuer = "" },
		"Audience is empty":                 func(i *access.IntrospectionConfig) { i.Audience = "" },
		"ClientID is empty":                 func(i *access.IntrospectionConfig) { i.ClientID = "" },
		"ClientSecret, Key, Certificate and AccessToken are empty": func(i *access.IntrospectionConfig) { i.ClientSecret = "" },
		"two of ClientSecret, Key":                                 func(i *access.IntrospectionConfig) { i.Key, i.KeyAlgorithm = key.Private, "ES256" },
		"are set: give one way": func(i *access.IntrospectionConfig) {
			i.AccessToken = func(context.Context) (string, error) { return "x", nil }
		},
		"Certificate is set and Endpoint is not https": func(i *access.IntrospectionConfig) {
			i.Endpoint, i.ClientSecret, i.Certificate = "http://127.0.0.1/introspect", "", shows(poptest.SelfSigned(t, "x"))
		},
		"a Transport of another kind": func(i *access.IntrospectionConfig) {
			i.ClientSecret, i.Certificate = "", shows(poptest.SelfSigned(t, "x"))
			i.HTTPClient = &http.Client{Transport: http.NewFileTransport(nil)}
		},
		"Key is nil beside KeyAlgorithm":             func(i *access.IntrospectionConfig) { i.KeyID = "x" },
		"beside KeyAlgorithm, KeyID":                 func(i *access.IntrospectionConfig) { i.KeyAlgorithm = "ES256" },
		"KeyID or KeyAudience: give":                 func(i *access.IntrospectionConfig) { i.KeyAudience = "x" },
		"JWKSURL or JWKS is set without":             func(i *access.IntrospectionConfig) { i.JWKSURL = "https://a.example/jwks" },
		"without SignedAnswers: no signature would":  func(i *access.IntrospectionConfig) { i.JWKS = []byte("{}") },
		"Key, Certificate and AccessToken are empty": func(i *access.IntrospectionConfig) { i.ClientSecret, i.SecretInBody = "", true },
		"give this resource server's name at the": func(i *access.IntrospectionConfig) {
			i.ClientID, i.ClientSecret, i.SignedAnswers = "", "", true
			i.AccessToken = func(context.Context) (string, error) { return "x", nil }
		},
		`with KeyAlgorithm "RS256"`: func(i *access.IntrospectionConfig) { i.ClientSecret, i.Key, i.KeyAlgorithm = "", key.Private, "RS256" },
		`with KeyAlgorithm "none": take one of ["ES256"`: func(i *access.IntrospectionConfig) {
			i.ClientSecret, i.Key, i.KeyAlgorithm = "", key.Private, "none"
		},
		"ClientSecret, Key, Certificate and AccessToken are empty: give one of them": func(i *access.IntrospectionConfig) {
			i.ClientSecret, i.SecretInBody = "", true
			i.AccessToken = func(context.Context) (string, error) { return "x", nil }
		},
		`give the address of introspection`: func(i *access.IntrospectionConfig) { i.Endpoint = "https:///introspect" },
		`with KeyAlgorithm ""`:              func(i *access.IntrospectionConfig) { i.ClientSecret, i.Key = "", key.Private },
		"TokenLifetime is -1ns":             func(i *access.IntrospectionConfig) { i.TokenLifetime = -1 },
		"CacheFor is 1h0m0s":                func(i *access.IntrospectionConfig) { i.CacheFor = time.Hour },
		"MaxSize is 511":                    func(i *access.IntrospectionConfig) { i.MaxSize = 511 },
		"Timeout is -1ns":                   func(i *access.IntrospectionConfig) { i.Timeout = -1 },
		"not a JWK set":                     func(i *access.IntrospectionConfig) { i.SignedAnswers, i.JWKS = true, []byte("{") },
	} {
		t.Run(want, func(t *testing.T) {
			config := access.IntrospectionConfig{
				Endpoint: "https://login.example.com/introspect", Issuer: poptest.Issuer, Audience: poptest.Audience, ClientID: "api", ClientSecret: "x",
			}
			change(&config)
			i, err := access.NewIntrospection(config)
			if i != nil || err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "access.IntrospectionConfig: ") {
				t.Fatalf("got %v, want %q in it", err, want)
			}
		})
	}
}

func FuzzIntrospectionAnswer(f *testing.F) {
	body, err := json.Marshal(answerClaims(nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(body))
	f.Add(string(poptest.Vectors().RFC9449.Introspection))
	f.Add(`{"active":false}`)
	i, err := access.NewIntrospection(access.IntrospectionConfig{
		Endpoint: "https://login.example.com/introspect", Issuer: poptest.Issuer, Audience: poptest.Audience, ClientID: "api", ClientSecret: "x",
		Now: func() time.Time { return poptest.Now },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		token, err := i.ReadAnswer([]byte(body))
		if err != nil {
			return
		}
		var said struct {
			Active bool
			Iss    string
		}
		if json.Unmarshal([]byte(body), &said) != nil || !said.Active || token.Issuer != poptest.Issuer {
			t.Errorf("accepted %q", body)
		}
	})
}

func BenchmarkIntrospectionCached(b *testing.B) {
	e := newEndpoint(b, nil)
	i := introspecting(b, e, func(i *access.IntrospectionConfig) { i.CacheFor = time.Minute }).Tokens.(*access.Introspection)
	if _, err := i.ValidateToken(b.Context(), "opaque"); err != nil {
		b.Fatal(err)
	}
	i.WaitForCache()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.ValidateToken(b.Context(), "opaque"); err != nil {
			b.Fatal(err)
		}
	}
	if n := e.asked.Load(); n != 1 {
		b.Fatalf("asked %d times", n)
	}
	poptest.ReportRatio(b)
}

// An endpoint on http is taken where that is said, and an assertion can be for somebody else than the issuer.
func TestIntrospectionSettingsThatAreTaken(t *testing.T) {
	key := poptest.Keyed("ES256", "resource server")
	made := func(change func(*access.IntrospectionConfig)) *access.Introspection {
		config := access.IntrospectionConfig{
			Endpoint: "https://login.example.com/introspect", Issuer: poptest.Issuer, Audience: poptest.Audience, ClientID: "api", ClientSecret: "x",
		}
		change(&config)
		i, err := access.NewIntrospection(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = i.Close() })
		return i
	}
	made(func(i *access.IntrospectionConfig) {
		i.Endpoint, i.InsecureAllowHTTP = "http://login.example.com/introspect", true
	})
	// 512 connections at most, so that a flood of tokens does not become one of the authorization server.
	if ours := made(func(*access.IntrospectionConfig) {}).Transport(); ours.MaxConnsPerHost != 512 || ours.Proxy == nil || ours.IdleConnTimeout == 0 {
		t.Errorf("our client has %d connections", ours.MaxConnsPerHost)
	}
	// Without a transport of their own a certificate goes with a copy of the default one.
	shown := made(func(i *access.IntrospectionConfig) {
		i.ClientSecret, i.HTTPClient, i.Certificate = "", &http.Client{}, shows(poptest.SelfSigned(t, "x"))
	}).Transport()
	if shown == http.DefaultTransport || shown.TLSClientConfig == nil || shown.TLSClientConfig.GetClientCertificate == nil {
		t.Errorf("TLS settings %+v", shown.TLSClientConfig)
	}
	plain := &http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}} // without HTTP/2 and TLS settings
	shown = made(func(i *access.IntrospectionConfig) {
		i.ClientSecret, i.HTTPClient, i.Certificate = "", &http.Client{Transport: plain}, shows(poptest.SelfSigned(t, "x"))
	}).Transport()
	if shown == plain || shown.TLSClientConfig == nil || shown.TLSClientConfig.GetClientCertificate == nil || plain.TLSClientConfig != nil {
		t.Errorf("TLS settings %+v", shown.TLSClientConfig)
	}
	if theirs := http.DefaultTransport.(*http.Transport).TLSClientConfig; theirs != nil && theirs.GetClientCertificate != nil {
		t.Error("the default transport was changed")
	}

	e := newEndpoint(t, nil)
	s := introspecting(t, e, func(i *access.IntrospectionConfig) {
		i.ClientSecret, i.Key, i.KeyAlgorithm, i.KeyAudience = "", key.Private, "ES256", "https://login.example.com/token"
	})
	if _, err := s.Check(owner("opaque")); err != nil {
		t.Fatal(err)
	}
	compact, err := jose.Split(e.last.PostForm.Get("client_assertion"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Aud string }
	raw, _ := jose.Decode(compact.Payload)
	if err := json.Unmarshal(raw, &c); err != nil || c.Aud != "https://login.example.com/token" {
		t.Errorf("for %q, %v", c.Aud, err)
	}
}

// closing is a transport that says when its idle connections are closed.
type closing struct {
	http.RoundTripper
	closed int
}

func (c *closing) CloseIdleConnections() { c.closed++ }

// The connections of a client that was given are its owner's; those of a copy that shows our certificate are ours.
func TestIntrospectionLeavesTheClientAlone(t *testing.T) {
	theirs := &closing{RoundTripper: http.DefaultTransport}
	e := newEndpoint(t, nil)
	i := introspecting(t, e, func(i *access.IntrospectionConfig) { i.HTTPClient = &http.Client{Transport: theirs} }).introspection
	if err := i.Close(); err != nil || theirs.closed != 0 {
		t.Errorf("closed %d times, %v", theirs.closed, err)
	}
}

// A key that signed when the settings were checked may fail later: our own trouble, and nothing is asked.
func TestIntrospectionKeyFails(t *testing.T) {
	e := newEndpoint(t, nil)
	key := &failingKey{Signer: poptest.Keyed("ES256", "resource server").Private}
	s := introspecting(t, e, func(i *access.IntrospectionConfig) { i.ClientSecret, i.Key, i.KeyAlgorithm = "", key, "ES256" })
	key.fails = true
	_, err := s.Check(owner("opaque"))
	expect(t, err, refusal{503, "", "introspection_unreachable"})
	if n := e.asked.Load(); n != 0 || !strings.Contains(err.Error(), "the token is locked") {
		t.Errorf("asked %d times, %v", n, err)
	}
}

type failingKey struct {
	crypto.Signer
	fails bool
}

func (k *failingKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.fails {
		return nil, errors.New("the token is locked")
	}
	return k.Signer.Sign(rand, digest, opts)
}

// Trouble is no word about the token: it is asked about again. And an answer has the times that it has.
func TestIntrospectionAfterTrouble(t *testing.T) {
	e := newEndpoint(t, nil)
	good := e.answer
	e.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	s := introspecting(t, e)
	_, err := s.Check(owner("opaque"))
	expect(t, err, refusal{503, "", "introspection_unreachable"})
	s.WaitForIntrospection()
	e.answer = good
	if _, err := s.Check(owner("opaque")); err != nil {
		t.Errorf("again: %v", err)
	}

	e = newEndpoint(t, map[string]any{"exp": nil, "iat": nil})
	token, err := introspecting(t, e, func(i *access.IntrospectionConfig) { i.TokenLifetime = time.Minute }).ValidateToken(t.Context(), "opaque")
	if err != nil || !token.IssuedAt.IsZero() {
		t.Errorf("without exp it was issued at %v, %v", token, err)
	}
	e = newEndpoint(t, nil)
	token, err = introspecting(t, e, func(i *access.IntrospectionConfig) { i.TokenLifetime = time.Minute }).ValidateToken(t.Context(), "opaque")
	if err != nil || !token.IssuedAt.Equal(poptest.Now) {
		t.Errorf("with iat it was issued at %v, %v", token, err)
	}
}

// A token that is bound to nobody, and not called bound either, is taken where such tokens are.
func TestIntrospectionOfABearerToken(t *testing.T) {
	i := introspecting(t, newEndpoint(t, map[string]any{"cnf": nil, "token_type": "Bearer"})).introspection
	s := newGuard(t, func(s *setup) { s.Issuers, s.Tokens, s.InsecureAllowBearer = nil, i, true })
	if grant, err := s.Check(get("Bearer opaque", "")); err != nil || grant.Binding != 0 {
		t.Error(err)
	}
}

// An answer may be as long as 256 KiB, and no longer.
func TestIntrospectionAnswerAtItsBound(t *testing.T) {
	const most = 256 << 10
	body, err := json.Marshal(answerClaims(nil))
	if err != nil {
		t.Fatal(err)
	}
	for length, want := range map[int]refusal{most: {}, most + 1: {503, "", "introspection_unreachable"}} {
		e := newEndpoint(t, nil)
		e.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(append(bytes.Repeat([]byte(" "), length-len(body)), body...))
		}
		_, err := introspecting(t, e).Check(owner("opaque"))
		if want != (refusal{}) {
			expect(t, err, want)
		} else if err != nil {
			t.Errorf("%d octets: %v", length, err)
		}
	}
}
