package main_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/explain"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/senderlocktest"
)

// explained is what explain --json prints.
type explained struct {
	Method, Target, Scheme string
	Time                   time.Time
	Proof, Token           *struct {
		Octets         int
		Header, Claims map[string]any
	}
	Assumed []string
	Steps   []struct{ Source, Text, Result, Why string }
	Verdict struct {
		Accepted                                            bool
		Status                                              int
		Code, Reason, Cause, Expected, Received, Difference string
		NotJudged                                           []string `json:"not_judged"`
	}
}

// result is that of the step with a text.
func (e *explained) result(text string) string {
	for _, s := range e.Steps {
		if s.Text == text {
			return s.Result
		}
	}
	return "no such step"
}

// scene is an issuer with its keys in a file, a client, and what they send.
type scene struct {
	*testing.T
	issuer *senderlocktest.Issuer
	client *senderlocktest.Client
	clock  *senderlocktest.Clock
	jwks   string
}

// noon is when the tokens and proofs of a scene are made.
var noon = time.Date(2030, time.January, 1, 12, 0, 0, 0, time.UTC)

func newScene(t *testing.T) *scene {
	s := &scene{T: t, clock: senderlocktest.NewClockAt(noon)}
	s.issuer = senderlocktest.NewIssuer(s.clock)
	t.Cleanup(s.issuer.Close)
	s.client = senderlocktest.NewClient(s.clock)
	response, err := http.Get(s.issuer.URL() + "/jwks")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	keys, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.jwks = s.file("jwks.json", string(keys))
	return s
}

func (s *scene) file(name, text string) string {
	s.Helper()
	path := filepath.Join(s.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// good is a request that a server with these flags accepts.
func (s *scene) good() *http.Request {
	r := httptest.NewRequest("POST", senderlocktest.Origin+"/pay?secret=1", nil)
	return s.client.Sign(r, s.issuer.Token(senderlocktest.Token{Client: s.client, Scopes: []string{"pay"}}))
}

func (s *scene) flags() []string {
	return []string{"explain", "--json", "--at", noon.Format(time.RFC3339), "--origin", senderlocktest.Origin,
		"--issuer", s.issuer.URL(), "--audience", senderlocktest.Origin, "--jwks", s.jwks}
}

// wire is a request as it goes over the wire.
func wire(r *http.Request) string {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.Host)
	_ = r.Header.Write(&text)
	return text.String() + "\r\n"
}

// explain runs the program on a pasted request.
func (s *scene) explain(pasted string, status int, flags ...string) *explained {
	s.Helper()
	got := run(s.T, pasted, append(s.flags(), flags...)...)
	if got.status != status {
		s.Fatalf("it ended with %d, want %d\n%s%s", got.status, status, got.out, got.said)
	}
	e := decode[explained](s.T, got.out)
	return &e
}

// A token that has nbf alone is refused where tokens can be taken back, which only the server knows of itself.
func TestExplainATokenWithoutIssue(t *testing.T) {
	s := newScene(t)
	token := s.issuer.Token(senderlocktest.Token{
		Client: s.client, Claims: map[string]any{"iat": nil, "nbf": noon.Unix()},
	})
	e := s.explain(wire(s.client.Sign(httptest.NewRequest("POST", senderlocktest.Origin+"/pay", nil), token)), 0)
	want := []string{"the server takes no token back: where it can, it refuses one without iat (token_claim_missing)"}
	if !slices.Equal(e.Verdict.NotJudged, want) {
		t.Errorf("%+v", e.Verdict)
	}
}

func TestExplainAccepts(t *testing.T) {
	s := newScene(t)
	r := s.good()
	e := s.explain(wire(r), 0, "--scope", "pay")
	if e.Method != "POST" || e.Target != "api.example.com/pay?…" || e.Scheme != "DPoP" || !e.Verdict.Accepted || e.Verdict.NotJudged != nil {
		t.Errorf("%+v", e)
	}
	for _, step := range e.Steps {
		if step.Result != "ok" {
			t.Errorf("%+v", step)
		}
	}
	if e.result("the proof has not been used before") != "no such step" {
		t.Error("it says what only the server's memory can tell")
	}
	if e.Proof.Claims["htm"] != "POST" || e.Token.Claims["sub"] != "user-1" || e.Proof.Header["typ"] != "dpop+jwt" {
		t.Errorf("%+v %+v", e.Proof, e.Token)
	}
}

// What is pasted comes from many tools.
func TestExplainReads(t *testing.T) {
	s := newScene(t)
	text := wire(s.good())
	var verbose strings.Builder
	verbose.WriteString("* Connected to api.example.com\n")
	for line := range strings.Lines(text) {
		verbose.WriteString("> " + line)
	}
	verbose.WriteString("< HTTP/1.1 401 Unauthorized\n")
	for name, pasted := range map[string]string{
		"line feeds alone":     strings.ReplaceAll(text, "\r\n", "\n"),
		"no empty line":        strings.TrimSpace(text),
		"lines in front":       "\n\n" + text,
		"HTTP/2":               strings.Replace(text, "HTTP/1.1", "HTTP/2", 1),
		"no version":           strings.Replace(text, " HTTP/1.1", "", 1),
		"curl -v":              verbose.String(),
		"the address in whole": strings.Replace(text, " /pay", " https://api.example.com/pay", 1),
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.T = t
			s.explain(pasted, 0)
		})
	}
}

// A refusal is the Guard's, at the step of its reason; those before it are passed, and those behind it not reached.
func TestExplainRefuses(t *testing.T) {
	s := newScene(t)
	thief := senderlocktest.NewClient(s.clock)
	token := func(change senderlocktest.Token) string {
		if change.Client == nil {
			change.Client = s.client
		}
		return s.issuer.Token(change)
	}
	sign := func(client *senderlocktest.Client, token string) *http.Request {
		return client.Sign(httptest.NewRequest("POST", senderlocktest.Origin+"/pay", nil), token)
	}
	proof := func(change dpop.ProofOptions) *http.Request {
		r := s.good()
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		change.AccessToken = token
		if change.Method == "" {
			change.Method = "POST"
		}
		if change.URL == "" {
			change.URL = senderlocktest.Origin + "/pay"
		}
		r.Header.Set("DPoP", s.client.Proof(change))
		return r
	}
	with := func(change func(http.Header)) *http.Request {
		r := s.good()
		change(r.Header)
		return r
	}
	tampered := func(field string) *http.Request {
		return with(func(h http.Header) { h.Set(field, poptest.Tampered(h.Get(field))) })
	}
	for name, test := range map[string]struct {
		r               *http.Request
		flags           []string
		reason          string
		passed, waiting string // texts of steps
	}{
		"no credentials":      {httptest.NewRequest("GET", senderlocktest.Origin+"/", nil), nil, "credentials_missing", "", "one DPoP field"},
		"Basic":               {with(func(h http.Header) { h.Set("Authorization", "Basic eDp5") }), nil, "scheme_unknown", "", "one DPoP field"},
		"two tokens":          {with(func(h http.Header) { h.Add("Authorization", "DPoP x") }), nil, "token_sent_twice", "", "one DPoP field"},
		"no proof":            {with(func(h http.Header) { h.Del("DPoP") }), nil, "proof_missing", "one Authorization field, DPoP or Bearer", "the proof is a well-formed JWT"},
		"two proofs":          {with(func(h http.Header) { h.Add("DPoP", "x") }), nil, "proof_multiple", "one Authorization field, DPoP or Bearer", "the proof is a well-formed JWT"},
		"no JWT":              {with(func(h http.Header) { h.Set("DPoP", "x") }), nil, "jws_malformed", "one DPoP field", "typ is dpop+jwt"},
		"a token as proof":    {with(func(h http.Header) { h.Set("DPoP", token(senderlocktest.Token{})) }), nil, "typ_wrong", "the proof is a well-formed JWT", "jwk is a public key, and no more"},
		"algorithm":           {s.good(), []string{"--algs", "PS256,EdDSA"}, "alg_not_allowed", "the proof is a well-formed JWT", "htm is the method"},
		"method":              {proof(dpop.ProofOptions{Method: "GET"}), nil, "htm_mismatch", "it has jti, htm, htu and iat", "htu is the address"},
		"address":             {proof(dpop.ProofOptions{URL: senderlocktest.Origin + "/x"}), nil, "htu_mismatch", "htm is the method", "it was made just now"},
		"host":                {s.good(), []string{"--origin", "https://other.example.com"}, "host_unknown", "htm is the method", "it was made just now"},
		"another token":       {with(func(h http.Header) { h.Set("Authorization", "DPoP "+token(senderlocktest.Token{ACR: "x"})) }), nil, "ath_mismatch", "htu is the address", "it was made just now"},
		"old":                 {s.good(), []string{"--at", "2030-01-01T12:01:01Z"}, "iat_too_old", "ath is the hash of the token", "iss is a trusted issuer"},
		"ahead":               {s.good(), []string{"--at", "2030-01-01T11:59:49Z"}, "iat_in_future", "the nonce is the server's, and fresh", "iss is a trusted issuer"},
		"nonce demanded":      {s.good(), []string{"--require-nonce"}, "nonce_missing", "ath is the hash of the token", "it was made just now"},
		"opaque":              {sign(s.client, "opaque"), nil, "token_jws_malformed", "it was made just now", "iss is a trusted issuer"},
		"issuer":              {s.good(), []string{"--issuer", "https://other.example.com"}, "token_issuer_unknown", "the token is a well-formed JWT", "aud is this API"},
		"audience":            {s.good(), []string{"--audience", "https://other.example.com"}, "token_audience_wrong", "its typ is at+jwt", "it has begun and not expired"},
		"token expired":       {sign(s.client, token(senderlocktest.Token{Lifetime: time.Second})), []string{"--at", "2030-01-01T12:00:50Z"}, "token_expired", "aud is this API", "the signature is the issuer's"},
		"token tampered with": {sign(s.client, tampered("Authorization").Header.Get("Authorization")[5:]), nil, "token_signature_invalid", "it has begun and not expired", "the token is bound to its key"},
		"thief":               {sign(thief, token(senderlocktest.Token{})), nil, "key_mismatch", "the signature is the issuer's", "the signature is that of its key"},
		"as bearer":           {with(func(h http.Header) { h.Set("Authorization", "Bearer "+h.Get("Authorization")[5:]); h.Del("DPoP") }), nil, "bound_token_as_bearer", "the signature is the issuer's", "it is short-lived"},
		"proof tampered with": {tampered("Dpop"), nil, "signature_invalid", "the token is bound to its key", "it is short-lived"},
		"long-lived":          {sign(s.client, token(senderlocktest.Token{Lifetime: time.Hour})), nil, "token_lifetime_too_long", "the signature is that of its key", "it has the scopes of the route"},
		"scope":               {s.good(), []string{"--scope", "pay admin"}, "scope_missing", "it is short-lived", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.T = t
			e := s.explain(wire(test.r), 1, test.flags...)
			source, text, ok := explain.StepOf(test.reason)
			if e.Verdict.Reason != test.reason || !ok || e.result(text) != "refused" || e.Verdict.Accepted || e.Verdict.Cause == "" {
				t.Errorf("%+v, want %s at %s", e.Verdict, test.reason, source)
			}
			if got := e.result(test.passed); test.passed != "" && got != "ok" {
				t.Errorf("%s: %s", test.passed, got)
			}
			if got := e.result(test.waiting); test.waiting != "" && got != "not reached" {
				t.Errorf("%s: %s", test.waiting, got)
			}
		})
	}
}

// The text for a reader: what is there, what was compared, and no secret.
func TestExplainText(t *testing.T) {
	s := newScene(t)
	r := s.good()
	flags := slices.DeleteFunc(s.flags(), func(flag string) bool { return flag == "--json" })
	got := run(t, wire(r), append(flags, "--at", "2030-01-01T12:01:03Z")...)
	for _, want := range []string{
		"POST api.example.com/pay?… at 2030-01-01T12:01:03Z\n", `"htm":"POST"`, `"sub":"user-1"`, "and a signature, not shown",
		"\nok  RFC 9449 §4.3 8   htm is the method\n", "\nNO  RFC 9449 §4.3 11  it was made just now\n", "\n-   RFC 9068 §4       aud is this API\n",
		"\nrefused with 401 invalid_dpop_proof, reason iat_too_old\n", "(by 3s)",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(got.out)
	}
	for _, field := range []string{"Authorization", "Dpop"} {
		value := r.Header.Get(field)
		signature := value[strings.LastIndex(value, ".")+1:]
		for _, flags := range [][]string{flags, s.flags()} {
			if got := run(t, wire(r), flags...); strings.Contains(got.out+got.said, signature) || strings.Contains(got.out, "secret") {
				t.Errorf("%s is in\n%s", field, got.out)
			}
		}
	}
}

// A proof with a private key in it is refused, and the key is not shown.
func TestExplainPrivateKey(t *testing.T) {
	s := newScene(t)
	r := s.good()
	proof := strings.Split(r.Header.Get("DPoP"), ".")
	header, err := base64.RawURLEncoding.DecodeString(proof[0])
	if err != nil {
		t.Fatal(err)
	}
	const private = "c2VjcmV0IG9mIHRoZSBjbGllbnQsIDMyIG9jdGV0cyEh"
	proof[0] = base64.RawURLEncoding.EncodeToString(bytes.Replace(header, []byte(`"kty"`), []byte(`"d":"`+private+`","kty"`), 1))
	r.Header.Set("DPoP", strings.Join(proof, "."))
	e := s.explain(wire(r), 1)
	jwk, _ := e.Proof.Header["jwk"].(map[string]any)
	if e.Verdict.Reason != "key_private" || e.result("jwk is a public key, and no more") != "refused" || jwk["d"] != "…" || jwk["x"] == "…" {
		t.Errorf("%+v, %+v", e.Verdict, jwk)
	}
	if text := run(t, wire(r), "explain"); strings.Contains(text.out+text.said, private) {
		t.Error("the private key is shown")
	}
}

// A claim may hold what steers a terminal.
func TestExplainTerminal(t *testing.T) {
	s := newScene(t)
	r := s.client.Sign(httptest.NewRequest("POST", senderlocktest.Origin+"/pay", nil),
		s.issuer.Token(senderlocktest.Token{Client: s.client, Subject: "\u009b2J\u202e"}))
	flags := slices.DeleteFunc(s.flags(), func(flag string) bool { return flag == "--json" })
	if got := run(t, wire(r), flags...); strings.ContainsAny(got.out, "\u009b\u202e") || !strings.Contains(got.out, `"sub":"?2J?"`) {
		t.Errorf("%q", got.out)
	}
}

// Without keys the signature of the token is not judged, and everything else is.
func TestExplainWithoutKeys(t *testing.T) {
	s := newScene(t)
	at := noon.Format(time.RFC3339)
	got := run(t, wire(s.good()), "explain", "--json", "--at", at)
	e := decode[explained](t, got.out)
	if got.status != 0 || !e.Verdict.Accepted || !slices.Equal(e.Verdict.NotJudged, []string{"the signature is the issuer's"}) {
		t.Errorf("%d %+v", got.status, e.Verdict)
	}
	if len(e.Assumed) != 3 || !strings.Contains(e.Assumed[0], "the origin is taken from the request: https://api.example.com (--origin") {
		t.Errorf("assumed: %q", e.Assumed)
	}
	thief := senderlocktest.NewClient(s.clock)
	r := thief.Sign(httptest.NewRequest("POST", senderlocktest.Origin+"/pay", nil), s.issuer.Token(senderlocktest.Token{Client: s.client}))
	if e := decode[explained](t, run(t, wire(r), "explain", "--json", "--at", at).out); e.Verdict.Reason != "key_mismatch" {
		t.Errorf("%+v", e.Verdict)
	}
	text := run(t, wire(s.good()), "explain", "--at", "iat").out
	if !strings.Contains(text, "accepted, if this holds: the signature is the issuer's") || !strings.Contains(text, "note   the issuer is taken from") {
		t.Error(text)
	}
}

// A nonce is judged with the secret of the server, and else not at all.
func TestExplainNonce(t *testing.T) {
	s := newScene(t)
	secret := strings.Repeat("s", dpop.MinNonceSecret)
	server, err := dpop.New(dpop.Config{
		Origins: []string{senderlocktest.Origin}, Nonces: dpop.Nonces{Secrets: [][]byte{[]byte(secret)}}, Now: s.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	with := func(nonce string) string {
		r := httptest.NewRequest("POST", senderlocktest.Origin+"/pay", nil)
		return wire(s.client.SignWithNonce(r, s.issuer.Token(senderlocktest.Token{Client: s.client}), nonce))
	}
	file := s.file("secret", secret+"\n")
	const nonce, made = "the nonce is the server's, and fresh", "it was made just now"
	e := s.explain(with("foreign"), 0)
	if e.result(nonce) != "not judged" || e.result(made) != "ok" || !slices.Equal(e.Verdict.NotJudged, []string{nonce}) {
		t.Errorf("without the secret: %+v", e)
	}
	if e := s.explain(with(server.Nonce()), 0, "--nonce-secret-file", file); e.result(nonce) != "ok" || e.Verdict.NotJudged != nil {
		t.Errorf("with the secret: %+v", e)
	}
	// Where none is demanded, another server's nonce is as none: the proof is judged by its time.
	if e := s.explain(with("foreign"), 0, "--nonce-secret-file", file); e.result(nonce) != "ok" || e.Verdict.NotJudged != nil {
		t.Errorf("another server's, where none is demanded: %+v", e)
	}
	if e := s.explain(with("foreign"), 1, "--nonce-secret-file", file, "--at", "2030-01-01T12:01:01Z"); e.Verdict.Reason != "nonce_foreign" {
		t.Errorf("another server's, and old: %+v", e)
	}
	if e := s.explain(with("foreign"), 1, "--nonce-secret-file", file, "--require-nonce"); e.Verdict.Reason != "nonce_foreign" || e.Verdict.Code != "use_dpop_nonce" {
		t.Errorf("another server's: %+v", e)
	}
}

// A request to a token endpoint has a proof and no token.
func TestExplainAtATokenEndpoint(t *testing.T) {
	s := newScene(t)
	proof := s.client.Proof(dpop.ProofOptions{Method: "POST", URL: "https://login.example.com/token"})
	at := noon.Format(time.RFC3339)
	args := []string{"explain", "--json", "--at", at, "--proof-file", "-", "https://login.example.com/token"}
	e := decode[explained](t, run(t, proof, append(args, "-X", "POST")...).out)
	if !e.Verdict.Accepted || e.result("htm is the method") != "ok" || e.result("ath is the hash of the token") != "not reached" ||
		e.result("aud is this API") != "not reached" {
		t.Errorf("%+v", e)
	}
	e = decode[explained](t, run(t, proof, args...).out)
	if e.Verdict.Reason != "htm_mismatch" || e.Verdict.Expected != "GET" || e.Verdict.Received != "POST" || e.Verdict.Status != 0 {
		t.Errorf("%+v", e.Verdict)
	}
}

// A token that is bound to a certificate (RFC 8705 §3).
func TestExplainCertificates(t *testing.T) {
	s := newScene(t)
	own, other := senderlocktest.NewCertificate("own"), senderlocktest.NewCertificate("other")
	file := func(c tls.Certificate) string {
		return s.file("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	}
	r := httptest.NewRequest("GET", senderlocktest.Origin+"/a", nil)
	r.Header.Set("Authorization", "Bearer "+s.issuer.Token(senderlocktest.Token{Certificate: own.Leaf}))
	if e := s.explain(wire(r), 0, "--cert", file(own)); e.result("and to the certificate, if to one") != "ok" || e.result("htm is the method") != "not reached" {
		t.Errorf("%+v", e)
	}
	for reason, flags := range map[string][]string{"certificate_missing": nil, "certificate_mismatch": {"--cert", file(other)}} {
		if e := s.explain(wire(r), 1, flags...); e.Verdict.Reason != reason || e.result("and to the certificate, if to one") != "refused" {
			t.Errorf("%+v, want %s", e.Verdict, reason)
		}
	}
}

// The settings may come from what the API and the issuer publish; only then is anything asked.
func TestExplainFromMetadata(t *testing.T) {
	s := newScene(t)
	metadata, err := json.Marshal(map[string]any{
		"resource": senderlocktest.Origin, "authorization_servers": []string{"https://other.example.com", s.issuer.URL()},
		"dpop_signing_alg_values_supported": []string{"ES256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; _, _ = w.Write(metadata) }))
	defer server.Close()
	at := noon.Format(time.RFC3339)
	for _, from := range []string{server.URL, s.file("metadata.json", string(metadata))} {
		e := decode[explained](t, run(t, wire(s.good()), "explain", "--json", "--at", at, "--metadata", from, "--jwks", "discover").out)
		if !e.Verdict.Accepted || e.Verdict.NotJudged != nil || e.Assumed != nil {
			t.Errorf("%s: %+v, assumed %q", from, e.Verdict, e.Assumed)
		}
	}
	e := decode[explained](t, run(t, wire(s.good()), "explain", "--json", "--at", at, "--metadata", server.URL, "--algs", "PS256").out)
	if e.Verdict.Reason != "alg_not_allowed" || asked != 2 {
		t.Errorf("%+v, asked %d times", e.Verdict, asked)
	}
	s.issuer.Close()
	run := run(t, wire(s.good()), append(s.flags(), "--jwks", "discover")...)
	if run.status != 2 || !strings.Contains(run.said, "it could not be decided") {
		t.Errorf("an issuer that does not answer: %+v", run)
	}
}

func TestExplainWrong(t *testing.T) {
	s := newScene(t)
	good := wire(s.good())
	text := s.file("text", "no document")
	for name, test := range map[string]struct {
		stdin, said string
		args        []string
	}{
		"nothing":         {"", "there is nothing on the standard input", nil},
		"no request":      {"a secret", "the standard input: that is not a request", nil},
		"no Host":         {"GET / HTTP/1.1\n", "the request has no Host", nil},
		"no secrets":      {"> GET /\n> Authorization: DPoP … (9 octets)\n> Host: a.example\n", "token and proof are left out of the request", nil},
		"too large":       {strings.Repeat("x", 1<<20+1), "the request is larger than 1048576 octets", nil},
		"files alone":     {"x", "need the URL of the request", []string{"--proof-file", "-"}},
		"URL alone":       {"x", "a URL needs --proof-file, --token-file or both", []string{"https://api.example.com"}},
		"stdin twice":     {"x", "the standard input cannot be both", []string{"--proof-file", "-", "--token-file", "-", "https://api.example.com"}},
		"no address":      {"x", "the URL is not an address", []string{"--proof-file", "-", "api.example.com"}},
		"time":            {good, "--at is \"noon\": give a time such as", []string{"--at", "noon"}},
		"no iat":          {"GET / HTTP/1.1\nHost: a.example\n", "has no proof that says when", []string{"--at", "iat"}},
		"certificate":     {good, "there is no certificate in PEM", []string{"--cert", text}},
		"metadata":        {good, "not the metadata of a protected resource", []string{"--metadata", text}},
		"no key set":      {good, "JWKS", []string{"--jwks", text}},
		"no such key set": {good, "--jwks: open", []string{"--jwks", text + "x"}},
		"origin":          {good, "Origins", []string{"--origin", "api.example.com"}},
		"algorithm":       {good, "Algorithms", []string{"--algs", "HS256"}},
		"nonce secret":    {good, "Nonces.Secrets[0]", []string{"--nonce-secret-file", text}},
		"lifetime":        {good, "MaxTokenLifetime", []string{"--max-lifetime", "-1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := expect(t, test.stdin, outcome{said: test.said, status: 2}, append([]string{"explain"}, test.args...)...)
			if strings.Contains(got.said, "a secret") {
				t.Error("it repeats what was pasted")
			}
		})
	}
}

// An opaque token says nothing: what is in it is judged by the answer of the issuer, where there is one, and nobody is
// asked. Without one everything else is judged.
func TestExplainOpaque(t *testing.T) {
	s := newScene(t)
	const secret = "opaque-and-secret"
	asked := false
	issuer := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer issuer.Close()
	answer := func(change func(map[string]any)) []string {
		now := noon.Unix()
		claims := map[string]any{
			"active": true, "iss": issuer.URL, "aud": senderlocktest.Origin, "sub": "user-1", "client_id": "app", "scope": "pay",
			"iat": now, "exp": now + 300, "cnf": map[string]any{"jkt": s.client.Thumbprint()},
		}
		if change != nil {
			change(claims)
		}
		text, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		return []string{"--opaque", s.file("answer.json", string(text))}
	}
	without := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	with := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	thief := senderlocktest.NewClient(s.clock)
	unknown := []string{"--opaque", "unknown"}
	flags := []string{"explain", "--json", "--at", noon.Format(time.RFC3339), "--scope", "pay"}
	for name, test := range map[string]struct {
		client  *senderlocktest.Client // nil: no proof
		flags   []string
		reason  string // empty: accepted
		unclear bool   // what only the issuer knows is not judged
	}{
		"nothing known":           {s.client, unknown, "", true},
		"nothing known, bearer":   {nil, unknown, "token_unbound", false},
		"nothing known, old":      {s.client, append(unknown, "--at", "2030-01-01T12:02:00Z"), "iat_too_old", false},
		"an answer":               {s.client, answer(nil), "", false},
		"of another key":          {thief, answer(nil), "key_mismatch", false},
		"as bearer":               {nil, answer(nil), "bound_token_as_bearer", false},
		"not active":              {s.client, answer(with("active", false)), "token_inactive", false},
		"of another issuer":       {s.client, append(answer(nil), "--issuer", "https://other.example.com"), "token_issuer_unknown", false},
		"for another API":         {s.client, append(answer(nil), "--audience", "https://other.example.com"), "token_audience_wrong", false},
		"for nobody, none wanted": {s.client, answer(without("aud")), "", false},
		"for nobody":              {s.client, append(answer(without("aud")), "--audience", senderlocktest.Origin), "token_audience_wrong", false},
		"expired":                 {s.client, answer(with("exp", noon.Unix()-60)), "token_expired", false},
		"unbound":                 {s.client, answer(without("cnf")), "token_unbound", false},
		"without the scope":       {s.client, answer(with("scope", "read")), "scope_missing", false},
		"long-lived":              {s.client, answer(with("exp", noon.Unix()+86400)), "token_lifetime_too_long", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", senderlocktest.Origin+"/pay", nil)
			r.Header.Set("Authorization", "Bearer "+secret)
			if test.client != nil {
				r = test.client.Sign(r, secret)
			}
			got := run(t, wire(r), append(slices.Clone(flags), test.flags...)...)
			e := decode[explained](t, got.out)
			if e.Verdict.Reason != test.reason || e.Verdict.Accepted != (test.reason == "") || (got.status == 0) != (test.reason == "") {
				t.Errorf("%d %+v %s", got.status, e.Verdict, got.said)
			}
			if unclear := slices.Contains(e.Verdict.NotJudged, "the token is bound to its key"); unclear != test.unclear {
				t.Errorf("not judged: %q", e.Verdict.NotJudged)
			}
			if test.reason == "" && (e.result("the signature is that of its key") != "ok" || e.result("ath is the hash of the token") != "ok") {
				t.Errorf("%+v", e.Steps)
			}
			if got := e.result("its typ is at+jwt"); got != "no such step" {
				t.Errorf("an opaque token has a typ: %s", got)
			}
			if test.unclear && e.result("the issuer calls it active") != "not judged" || test.reason == "token_inactive" && e.result("the issuer calls it active") != "refused" {
				t.Errorf("active: %s", e.result("the issuer calls it active"))
			}
			if strings.Contains(got.out+got.said, secret) || e.Token.Octets != len(secret) {
				t.Errorf("the token is shown: %s", got.out)
			}
		})
	}
	if asked {
		t.Error("the issuer was asked")
	}
	r := wire(s.client.Sign(httptest.NewRequest("POST", senderlocktest.Origin+"/pay", nil), secret))
	for said, file := range map[string]string{
		"it could not be decided": s.file("answer.json", "nothing"), "--opaque: open ": filepath.Join(t.TempDir(), "nothing"),
	} {
		if got := run(t, r, append(slices.Clone(flags), "--opaque", file)...); got.status != 2 || !strings.Contains(got.said, said) {
			t.Errorf("%+v", got)
		}
	}
}
