package senderlocktest

import (
	"cmp"
	"crypto/rand"
	"crypto/x509"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/senderlock/senderlock/internal/mint"
	"github.com/senderlock/senderlock/mtls"
)

// Issuer is an authorization server as a resource server sees it: metadata (RFC 8414) and a key set, on a free port of
// this machine. It issues whatever token the test asks for, and reports logouts and other events. It is safe for concurrent
// use. Make one with [NewIssuer].
type Issuer struct {
	server *httptest.Server
	clock  *Clock

	mu   sync.Mutex
	kid  string
	keys map[string]*mint.Key
}

// NewIssuer starts an issuer. Close it when the test ends.
func NewIssuer(clock *Clock) *Issuer {
	i := &Issuer{clock: clock, keys: map[string]*mint.Key{}}
	i.RotateKey()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", i.metadata)
	mux.HandleFunc("GET /.well-known/openid-configuration", i.metadata)
	mux.HandleFunc("GET /jwks", i.jwks)
	i.server = httptest.NewUnstartedServer(mux) // it reads its own address
	i.server.Start()
	return i
}

// Close stops the issuer.
func (i *Issuer) Close() { i.server.Close() }

// URL returns the issuer identifier, for [access.Issuer].
func (i *Issuer) URL() string { return i.server.URL }

// RotateKey signs with a new key from now on. The old ones stay in the key set.
func (i *Issuer) RotateKey() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kid = rand.Text()
	i.keys[i.kid] = mint.New("ES256")
}

// Token says what an access token is to say. The zero Token is one that is bound to nobody, for [Origin], for five
// minutes from now on the issuer's clock.
type Token struct {
	// Client is the client to whose key the token is bound (cnf.jkt). Nil binds it to none.
	Client *Client
	// Certificate is the certificate that the token is bound to (cnf.x5t#S256). Nil binds it to none.
	Certificate *x509.Certificate

	Subject  string   // empty means "user-1"
	ClientID string   // empty means "client-1"
	Audience string   // empty means Origin
	Scopes   []string // scope
	Session  string   // sid; empty leaves it out

	Lifetime time.Duration // from iat to exp; zero means five minutes
	AuthTime time.Time     // auth_time; zero leaves it out
	ACR      string        // acr; empty leaves it out

	// Claims are further claims, or take the place of those above; a nil value leaves one out.
	Claims map[string]any
	// Header are members of the header in the same way, such as a typ of JWT; the signature is always one of ES256.
	Header map[string]any
}

// Token issues an access token (RFC 9068). Each has another jti.
func (i *Issuer) Token(t Token) string {
	return i.sign("at+jwt", t.Header, changed(t.claims(i.URL(), i.clock.Now()), t.Claims))
}

// sign makes a token of a typ, unless the test's header says otherwise.
func (i *Issuer) sign(typ string, header, claims map[string]any) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	header = changed(map[string]any{"typ": typ, "alg": "ES256", "kid": i.kid}, header)
	return mint.Compact(mint.Marshal(header), mint.Marshal(claims), i.keys[i.kid])
}

// changed is members with what the test puts in their place.
func changed(members, changes map[string]any) map[string]any {
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	return members
}

func (t *Token) claims(issuer string, now time.Time) map[string]any {
	claims := map[string]any{
		"iss": issuer, "aud": cmp.Or(t.Audience, Origin), "jti": rand.Text(),
		"sub": cmp.Or(t.Subject, "user-1"), "client_id": cmp.Or(t.ClientID, "client-1"),
		"iat": now.Unix(), "exp": now.Add(cmp.Or(t.Lifetime, 5*time.Minute)).Unix(),
	}
	optional := map[string]string{"scope": strings.Join(t.Scopes, " "), "sid": t.Session, "acr": t.ACR}
	for name, value := range optional {
		if value != "" {
			claims[name] = value
		}
	}
	if !t.AuthTime.IsZero() {
		claims["auth_time"] = t.AuthTime.Unix()
	}
	cnf := map[string]string{}
	if t.Client != nil {
		cnf["jkt"] = t.Client.Thumbprint()
	}
	if t.Certificate != nil {
		cnf["x5t#S256"] = (&mtls.Certificate{DER: t.Certificate.Raw}).Thumbprint()
	}
	if len(cnf) > 0 {
		claims["cnf"] = cnf
	}
	return claims
}

func (i *Issuer) metadata(w http.ResponseWriter, _ *http.Request) {
	write(w, map[string]any{"issuer": i.URL(), "jwks_uri": i.URL() + "/jwks"})
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	set := []map[string]any{}
	for kid, key := range i.keys {
		jwk := key.JWK()
		jwk["kid"], jwk["alg"], jwk["use"] = kid, key.Alg, "sig"
		set = append(set, jwk)
	}
	write(w, map[string]any{"keys": set})
}

func write(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(mint.Marshal(document)))
}
