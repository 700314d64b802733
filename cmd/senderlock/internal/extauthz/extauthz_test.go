package extauthz_test

import (
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/cmd/senderlock/internal/extauthz"
	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/onedecision"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/senderlocktest"
)

var loopback = access.Peers{Addresses: []string{"127.0.0.1"}}

// ask serves forward authentication for Envoy over gRPC, and returns a client of it.
func ask(t *testing.T, guard *access.Guard, peers access.Peers, routes ...gateway.Route) authv3.AuthorizationClient {
	t.Helper()
	return askFor(t, "", guard, peers, routes...)
}

// askFor does so for pages of an origin.
func askFor(t *testing.T, origin string, guard *access.Guard, peers access.Peers, routes ...gateway.Route) authv3.AuthorizationClient {
	t.Helper()
	signer, err := gateway.NewSigner("https://gateway.example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	forward, err := gateway.NewForwardAuth(gateway.ForwardAuthConfig{
		Guard: guard, Routes: routes, Upstream: "http://service.internal", Signer: signer, Preset: gateway.Envoy, Peers: peers,
		CORSOrigin: origin, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(extauthz.Handler(forward))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	conn, err := grpc.NewClient(server.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return authv3.NewAuthorizationClient(conn)
}

// question is what Envoy asks about a request (envoy.service.auth.v3, with encode_raw_headers).
func question(r *http.Request, certificate string) *authv3.CheckRequest {
	asked := &authv3.AttributeContext_HttpRequest{
		Method: r.Method, Path: r.RequestURI, Host: r.Host, Scheme: "https", HeaderMap: &corev3.HeaderMap{},
	}
	add := func(name, value string) {
		asked.HeaderMap.Headers = append(asked.HeaderMap.Headers, &corev3.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
	}
	add(":method", r.Method)
	add(":path", r.RequestURI)
	add(":authority", r.Host)
	add(":scheme", "https")
	for name, values := range r.Header {
		for _, value := range values {
			add(name, value)
		}
	}
	if len(r.Header.Values("X-Forwarded-Proto")) == 0 {
		add("x-forwarded-proto", "https")
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Certificate: certificate}, Request: &authv3.AttributeContext_Request{Http: asked},
	}}
}

// apply does to the fields of a request what Envoy does with an answer that accepts it.
func apply(h http.Header, ok *authv3.OkHttpResponse) {
	for _, o := range ok.GetHeaders() {
		h.Set(o.GetHeader().GetKey(), o.GetHeader().GetValue())
	}
	for _, name := range ok.GetHeadersToRemove() {
		h.Del(name)
	}
}

// envoy is a proxy that does as Envoy's documentation says. It answers itself what is accepted.
func envoy(client authv3.AuthorizationClient) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := client.Check(r.Context(), question(r, ""))
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		added := answer.GetOkResponse().GetResponseHeadersToAdd()
		denied := answer.GetDeniedResponse()
		for _, o := range append(added, denied.GetHeaders()...) {
			w.Header().Add(o.GetHeader().GetKey(), o.GetHeader().GetValue())
		}
		if denied != nil {
			w.WriteHeader(int(denied.GetStatus().GetCode()))
			_, _ = w.Write([]byte(denied.GetBody()))
		}
	})
}

// different are the cases of the suite that do not end as with the Guard itself, with why.
var different = map[string]string{
	"forwarded-ignored-X-Original-Host":  "what contradicts the question is refused, not ignored",
	"forwarded-ignored-X-Forwarded-Host": "what contradicts the question is refused, not ignored",
	"absolute-form":                      "a target in absolute form is refused: Envoy makes a path of it",
}

// One decision: the vectors end through Envoy's contract as they do with the Guard itself.
func TestOneDecision(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED: -short leaves the conformance suite out")
	}
	guard, issuer := onedecision.NewGuard(t)
	forms := gateway.PathForms(1<<7 - 1) // so that the Guard judges them
	client := ask(t, guard, loopback, gateway.Route{Pattern: "/resource", Allow: forms}, gateway.Route{Pattern: "/resource/{path...}", Allow: forms})
	all := func(handler http.Handler) map[string]conformance.Result {
		server := httptest.NewServer(handler)
		defer server.Close()
		return onedecision.Results(t, issuer, server)
	}
	want := all(guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	proxy := envoy(client)
	got := all(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == guard.MetadataPaths()[0] { // for which Envoy is set to ask nobody
			guard.MetadataHandler().ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	onedecision.Compare(t, want, got, different)
}

// log collects the reasons of refusals.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// What Envoy is told: every identity field, what to drop, and of a refusal what the client gets.
func TestAnswers(t *testing.T) {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	owner := senderlocktest.NewClient(clock)
	var said log
	c := senderlocktest.Config(issuer, clock)
	c.Log = slog.New(slog.NewTextHandler(&said, nil))
	var err error
	if c.Certificates, err = mtls.FromProxy(mtls.Proxy{Trusted: loopback, Format: mtls.EscapedPEM}); err != nil {
		t.Fatal(err)
	}
	guard, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	routes := []gateway.Route{{Pattern: "GET /orders"}, {Pattern: "GET /nonce", Requirement: access.Requirement{Nonce: true}}, {Pattern: "/public", Public: true}}
	client, stranger := ask(t, guard, loopback, routes...), ask(t, guard, access.Peers{Addresses: []string{"192.0.2.1"}}, routes...)
	own := senderlocktest.NewCertificate("own")
	escaped := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})))
	bound := issuer.Token(senderlocktest.Token{Certificate: own.Leaf})
	token := issuer.Token(senderlocktest.Token{Client: owner})

	type asked = authv3.AttributeContext_HttpRequest
	pseudo := func(name, value string) func(*asked) {
		return func(a *asked) {
			a.HeaderMap.Headers = append(a.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
		}
	}
	field := pseudo
	for name, test := range map[string]struct {
		target      string
		bearer      string // in place of a proof
		certificate string
		change      func(*asked)
		client      authv3.AuthorizationClient
		want        int
		reason      string
	}{
		"owner":                    {want: 200},
		"public":                   {target: "/public", want: 200},
		"unlisted":                 {target: "/admin", want: 404},
		"bound as bearer":          {bearer: token, want: 401, reason: "token_bound_to_key"},
		"a nonce wanted":           {target: "/nonce", want: 401},
		"with its certificate":     {bearer: bound, certificate: escaped, want: 200},
		"without it":               {bearer: bound, want: 401},
		"written by the client":    {bearer: bound, change: field("x-ssl-client-cert", escaped), want: 401},
		"another path":             {change: pseudo(":path", "/public"), want: 400},
		"another method":           {change: pseudo(":method", "POST"), want: 400},
		"another origin":           {change: pseudo(":authority", "evil.example"), want: 400},
		"another pseudo-field":     {change: pseudo(":x-senderlock-subject", "evil"), want: 400},
		"another scheme":           {change: func(a *asked) { a.Scheme = "http" }, want: 400},
		"another scheme forwarded": {change: field("x-forwarded-proto", "http"), want: 400},
		"another path's field":     {change: field("x-original-url", "/public"), want: 400},
		"a stranger":               {client: stranger, want: 403},
		"two credentials":          {change: field("authorization", "Bearer a"), want: 400},
		"identity of its own":      {change: field("x-senderlock-subject", "evil"), want: 200},
		"with underscores":         {change: field("x_senderlock_subject", "evil"), want: 200},
		"one not of ours":          {change: field("x-senderlock-roles", "evil"), want: 200},
		"another method's field":   {change: field("x-http-method-override", "evil"), want: 200},
		"joined fields": {change: func(a *asked) {
			a.Headers = map[string]string{}
			for _, h := range a.GetHeaderMap().GetHeaders() {
				a.Headers[h.GetKey()] = string(h.GetRawValue())
			}
			a.HeaderMap = nil
		}, want: 200},
		"nothing": {change: func(a *asked) { a.Reset() }, want: 503},
	} {
		t.Run(name, func(t *testing.T) {
			target := test.target
			if target == "" {
				target = "/orders"
			}
			r := httptest.NewRequest("GET", senderlocktest.Origin+target, nil)
			r.RequestURI = target
			if test.bearer != "" {
				r.Header.Set("Authorization", "Bearer "+test.bearer)
			} else {
				owner.Sign(r, token)
			}
			q := question(r, test.certificate)
			if test.change != nil {
				test.change(q.GetAttributes().GetRequest().GetHttp())
			}
			if test.client == nil {
				test.client = client
			}
			answer, err := test.client.Check(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			denied := answer.GetDeniedResponse()
			if got := int(denied.GetStatus().GetCode()); denied != nil && got != test.want || denied == nil && test.want != 200 || (answer.GetStatus().GetCode() == 0) != (test.want == 200) {
				t.Fatalf("%d, want %d: %v; %s", got, test.want, answer, said.text.String())
			}
			if test.want != 200 {
				checkDenied(t, denied, test.want)
				return
			}
			sent := r.Header.Clone()
			for _, h := range q.GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
				sent[http.CanonicalHeaderKey(h.GetKey())] = []string{string(h.GetRawValue())}
			}
			apply(sent, answer.GetOkResponse())
			subject := map[string]string{"/public": "", "/orders": "user-1"}[target]
			if got := sent.Values(gateway.FieldSubject); len(got) != 1 || got[0] != subject || sent.Get("Authorization")+sent.Get("DPoP") != "" ||
				len(sent.Values(gateway.FieldAssertion)) != 1 {
				t.Errorf("the service gets %v", sent)
			}
			for name, values := range sent {
				if slices.Contains(values, "evil") {
					t.Errorf("the service gets %s: %s", name, values)
				}
			}
		})
	}
}

// Beside a nonce the answer to the client is not to be stored, and a preflight passes where a public route lists it.
func TestNonceAndPreflight(t *testing.T) {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	owner := senderlocktest.NewClient(clock)
	c := senderlocktest.Config(issuer, clock)
	c.Log, c.RequireNonce, c.Nonces.EveryAnswer = slog.New(slog.DiscardHandler), true, true
	guard, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	client := ask(t, guard, loopback, gateway.Route{Pattern: "GET /orders"}, gateway.Route{Pattern: "OPTIONS /orders", Public: true})
	preflight := httptest.NewRequest("OPTIONS", "/orders", nil)
	preflight.Host = "api.example.com"
	preflight.Header.Set("Access-Control-Request-Method", "GET")
	get := httptest.NewRequest("GET", senderlocktest.Origin+"/orders", nil)
	get.RequestURI = "/orders"
	recorder := httptest.NewRecorder()
	guard.NonceHandler().ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	for want, r := range map[string]*http.Request{
		"":         preflight,
		"no-store": owner.SignWithNonce(get, issuer.Token(senderlocktest.Token{Client: owner}), recorder.Header().Get("DPoP-Nonce")),
	} {
		answer, err := client.Check(t.Context(), question(r, ""))
		if err != nil || answer.GetOkResponse() == nil {
			t.Fatal(answer, err)
		}
		shown := http.Header{}
		for _, o := range answer.GetOkResponse().GetResponseHeadersToAdd() {
			shown.Set(o.GetHeader().GetKey(), o.GetHeader().GetValue())
		}
		if shown.Get("Cache-Control") != want || (shown.Get("DPoP-Nonce") != "") != (want != "") || (shown.Get("Access-Control-Expose-Headers") != "") != (want != "") {
			t.Errorf("%s: the client gets %v", r.Method, shown)
		}
		if removed := answer.GetOkResponse().GetHeadersToRemove(); slices.Contains(removed, "access-control-request-method") {
			t.Errorf("the service does not get %v", removed)
		}
	}
}

func checkDenied(t *testing.T, denied *authv3.DeniedHttpResponse, status int) {
	t.Helper()
	header := http.Header{}
	for _, o := range denied.GetHeaders() {
		header.Add(o.GetHeader().GetKey(), o.GetHeader().GetValue())
	}
	if status == 401 && header.Get("WWW-Authenticate") == "" || (header.Get("Retry-After") != "") != (status == 503) {
		t.Errorf("the client gets %v", header)
	}
	for name := range header {
		if strings.HasPrefix(name, "X-Senderlock-") {
			t.Errorf("the client gets %s", name)
		}
	}
}

// Over HTTP the same port answers too.
func TestHTTPBeside(t *testing.T) {
	handler := extauthz.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	if recorder.Code != http.StatusTeapot {
		t.Errorf("%d", recorder.Code)
	}
}
