package poptest

import (
	"cmp"
	"crypto/rand"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/mint"
)

// Token describes a JWT access token, RFC 9068. Zero fields get good values;
// a zero Token is not bound to any sender.
type Token struct {
	// Key signs. Nil means IssuerKey.
	Key *Key
	// KeyID is the kid of the header. Empty means the constant KeyID.
	KeyID string
	// Issuer and Audience are iss and aud. Empty means the constants.
	Issuer, Audience string
	// Subject, ClientID and Scope default to user-1, client-1 and
	// accounts:read.
	Subject, ClientID, Scope string
	// JKT and X5T are the cnf members jkt and x5t#S256. Empty means none.
	JKT, X5T string
	// IssuedAt is iat, in whole seconds. Zero means Now.
	IssuedAt time.Time
	// Lifetime is exp - iat; it may be negative. Zero means five minutes.
	Lifetime time.Duration

	// Header and Claims replace or add members. A nil value removes the
	// member; json.RawMessage("null") makes it null.
	Header, Claims map[string]any
	// RawHeader and RawPayload, when not empty, are used as they are in
	// place of the JSON that would have been built.
	RawHeader, RawPayload string
}

// String returns the signed token in compact serialisation. Each call makes a
// new jti.
func (t Token) String() string {
	key := t.Key
	if key == nil {
		key = IssuerKey()
	}
	header, payload := t.RawHeader, t.RawPayload
	if header == "" {
		header = mint.Marshal(override(map[string]any{
			"typ": "at+jwt", "alg": key.Alg, "kid": cmp.Or(t.KeyID, KeyID),
		}, t.Header))
	}
	if payload == "" {
		payload = mint.Marshal(t.claims())
	}
	return Compact(header, payload, key)
}

func (t Token) claims() map[string]any {
	issued := orNow(t.IssuedAt)
	claims := map[string]any{
		"iss": cmp.Or(t.Issuer, Issuer), "aud": cmp.Or(t.Audience, Audience),
		"sub": cmp.Or(t.Subject, "user-1"), "client_id": cmp.Or(t.ClientID, "client-1"),
		"scope": cmp.Or(t.Scope, "accounts:read"), "jti": rand.Text(),
		"iat": issued.Unix(), "exp": issued.Add(cmp.Or(t.Lifetime, 5*time.Minute)).Unix(),
	}
	cnf := map[string]string{}
	if t.JKT != "" {
		cnf["jkt"] = t.JKT
	}
	if t.X5T != "" {
		cnf["x5t#S256"] = t.X5T
	}
	if len(cnf) > 0 {
		claims["cnf"] = cnf
	}
	return override(claims, t.Claims)
}

// JWKS returns a JWK set of public keys, in the order of their names, each
// with kid, alg and "use":"sig".
func JWKS(keys map[string]*Key) []byte {
	set := []map[string]any{}
	for _, kid := range slices.Sorted(maps.Keys(keys)) {
		jwk := keys[kid].JWK()
		jwk["kid"], jwk["alg"], jwk["use"] = kid, keys[kid].Alg, "sig"
		set = append(set, jwk)
	}
	return []byte(mint.Marshal(map[string]any{"keys": set}))
}

// The documents that an IssuerServer serves.
const (
	MetadataPath = "/.well-known/oauth-authorization-server" // RFC 8414 §3
	OpenIDPath   = "/.well-known/openid-configuration"
	JWKSPath     = "/jwks"
)

// IssuerServer is an authorization server as a resource server sees it:
// metadata and a key set. It can be changed and made to misbehave while it
// runs, and is safe for concurrent use.
type IssuerServer struct {
	server *httptest.Server
	mux    *http.ServeMux

	mu       sync.Mutex
	keys     map[string]*Key
	raw      []byte
	metadata map[string]any
	fetches  map[string]int
	limit    []string
	failing  bool
	redirect string
	padding  int
	hang     chan struct{}
}

// NewIssuerServer starts an issuer that speaks TLS and serves [IssuerKey] as
// [KeyID]; its certificate is trusted by Client. It stops with the test.
func NewIssuerServer(t testing.TB) *IssuerServer {
	t.Helper()
	return startIssuer(t, httptest.NewTLSServer)
}

// NewPlainIssuerServer is NewIssuerServer without TLS.
func NewPlainIssuerServer(t testing.TB) *IssuerServer {
	t.Helper()
	return startIssuer(t, httptest.NewServer)
}

func startIssuer(t testing.TB, start func(http.Handler) *httptest.Server) *IssuerServer {
	t.Helper()
	s := &IssuerServer{
		mux:     http.NewServeMux(),
		keys:    map[string]*Key{KeyID: IssuerKey()},
		fetches: map[string]int{},
	}
	s.mux.HandleFunc(MetadataPath, s.serveMetadata)
	s.mux.HandleFunc(OpenIDPath, s.serveMetadata)
	s.mux.HandleFunc(JWKSPath, s.serveJWKS)
	s.server = start(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// Close lets hanging requests go and stops the server; from then on it
// refuses connections. It may be called more than once.
func (s *IssuerServer) Close() {
	s.Release()
	s.server.CloseClientConnections()
	s.server.Close()
}

// URL returns the issuer identifier, without a trailing slash.
func (s *IssuerServer) URL() string { return s.server.URL }

// Client returns an HTTP client that trusts the server.
func (s *IssuerServer) Client() *http.Client { return s.server.Client() }

// Token signs t with the key that the server publishes for its KeyID, unless
// t.Key is set, and fills in Issuer with URL.
func (s *IssuerServer) Token(t Token) string {
	s.mu.Lock()
	if t.Key == nil {
		t.Key = s.keys[cmp.Or(t.KeyID, KeyID)]
	}
	s.mu.Unlock()
	t.Issuer = cmp.Or(t.Issuer, s.URL())
	return t.String()
}

// SetKeys publishes other keys, by kid, and undoes SetRawJWKS.
func (s *IssuerServer) SetKeys(keys map[string]*Key) {
	s.set(func() { s.keys, s.raw = maps.Clone(keys), nil })
}

// SetRawJWKS publishes a key set as it is; nil goes back to the keys.
func (s *IssuerServer) SetRawJWKS(body []byte) { s.set(func() { s.raw = slices.Clone(body) }) }

// SetMetadata replaces or adds metadata members; a nil value removes one.
func (s *IssuerServer) SetMetadata(changes map[string]any) {
	s.set(func() { s.metadata = maps.Clone(changes) })
}

// Handle adds an endpoint, for example introspection. Misbehaviour applies to
// it too.
func (s *IssuerServer) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// LimitTo restricts SetFailing, SetRedirect, SetPadding and Hang to requests
// for the given paths. None means all paths, as at the start.
func (s *IssuerServer) LimitTo(paths ...string) { s.set(func() { s.limit = slices.Clone(paths) }) }

// SetFailing makes the server answer 500, or answer again.
func (s *IssuerServer) SetFailing(failing bool) { s.set(func() { s.failing = failing }) }

// SetRedirect makes the server answer 302 with this Location; empty ends it.
func (s *IssuerServer) SetRedirect(location string) { s.set(func() { s.redirect = location }) }

// SetPadding puts n spaces before each answer's body. The JSON stays good, so
// only a limit on its size can refuse it. Zero ends it.
func (s *IssuerServer) SetPadding(n int) { s.set(func() { s.padding = n }) }

// Hang makes requests wait until Release, or until the client gives up.
func (s *IssuerServer) Hang() {
	s.set(func() {
		if s.hang == nil {
			s.hang = make(chan struct{})
		}
	})
}

// Release ends Hang and lets the waiting requests go on.
func (s *IssuerServer) Release() {
	s.set(func() {
		if s.hang != nil {
			close(s.hang)
			s.hang = nil
		}
	})
}

// Fetches returns how many requests for the key set have arrived, whatever
// became of them.
func (s *IssuerServer) Fetches() int { return s.FetchesOf(JWKSPath) }

// FetchesOf returns how many requests for a path have arrived.
func (s *IssuerServer) FetchesOf(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches[path]
}

func (s *IssuerServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *IssuerServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.fetches[r.URL.Path]++
	hit := len(s.limit) == 0 || slices.Contains(s.limit, r.URL.Path)
	hang := s.hang
	s.mu.Unlock()
	if hit && hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	s.mu.Lock()
	failing, redirect, padding := s.failing, s.redirect, s.padding
	s.mu.Unlock()
	switch {
	case hit && failing:
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	case hit && redirect != "":
		http.Redirect(w, r, redirect, http.StatusFound)
		return
	case hit && padding > 0:
		w = &padder{ResponseWriter: w, left: padding}
	}
	s.mux.ServeHTTP(w, r)
}

func (s *IssuerServer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	body := mint.Marshal(override(map[string]any{
		"issuer": s.URL(), "jwks_uri": s.URL() + JWKSPath,
		"response_types_supported": []string{"code"},
	}, s.metadata))
	s.mu.Unlock()
	writeJSON(w, []byte(body))
}

func (s *IssuerServer) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	body := s.raw
	if body == nil {
		body = JWKS(s.keys)
	}
	s.mu.Unlock()
	writeJSON(w, body)
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client may have gone; its test will tell
}

// padder writes spaces before the first octet of a body.
type padder struct {
	http.ResponseWriter
	left int
}

func (p *padder) Write(b []byte) (int, error) {
	if n := p.left; n > 0 {
		p.left = 0
		if _, err := io.Copy(p.ResponseWriter, strings.NewReader(strings.Repeat(" ", n))); err != nil {
			return 0, err
		}
	}
	return p.ResponseWriter.Write(b)
}
