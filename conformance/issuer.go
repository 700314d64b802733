package conformance

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/recipe"
	"github.com/senderlock/senderlock/internal/mint"
)

// Issuer is the authorization server that the server under test is configured to trust. It serves metadata
// (RFC 8414 and OpenID Connect discovery), a key set, and introspection (RFC 7662) for any client that
// authenticates. Its keys are random and end with it, so that trust in it is worth nothing to anybody later; still,
// take it out of the configuration after the test. Below it are two more issuers: URL()+"/down", whose keys cannot be had,
// and URL()+"/rotating", which changes its key.
type Issuer struct {
	url    string
	server *http.Server
	key    *mint.Key
	keyID  string
	rogue  *mint.Key

	mu              sync.Mutex
	current, former recipe.Issuer // of the issuer "rotating"

	opaque map[string]string
	proofs int // DPoP fields that came to introspection
	asked  int
	outage string
}

// IssuerConfig says where an [Issuer] listens.
type IssuerConfig struct {
	// Address is where it listens, such as "127.0.0.1:9700"; port 0 takes a free one.
	Address string
	// URL is the identifier, under which the server under test reaches it. Empty means http, or https with a
	// Certificate, at the address.
	URL string
	// Certificate serves it over TLS; see [NewCertificate]. Nil serves it without.
	Certificate *tls.Certificate
}

// NewIssuer starts an issuer. Close it when done.
func NewIssuer(c IssuerConfig) (*Issuer, error) {
	u, err := url.Parse(c.URL)
	if err != nil || c.URL != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("conformance.IssuerConfig: URL is %q: give an http or https URL, or nothing", c.URL)
	}
	listener, err := net.Listen("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("conformance.IssuerConfig: Address is %q, where it cannot listen, give it another: %w",
			c.Address, err)
	}
	scheme := "http://"
	if c.Certificate != nil {
		scheme = "https://"
	}
	i := &Issuer{
		url: cmp.Or(c.URL, scheme+listener.Addr().String()), keyID: "k" + rand.Text(),
		key: mint.New("ES256"), rogue: mint.New("ES256"), opaque: map[string]string{},
	}
	i.rotate()
	i.rotate()
	i.server = &http.Server{Handler: i.handler(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: maxHead,
		ErrorLog: log.New(io.Discard, "", 0)} // of handshakes with who does not trust it
	if c.Certificate != nil {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*c.Certificate},
			MinVersion: tls.VersionTLS12})
	}
	go func() { _ = i.server.Serve(listener) }() // ends with Close
	return i, nil
}

// handler serves the issuer and those below it.
func (i *Issuer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", i.serveKeys)
	mux.HandleFunc("/introspect", i.serveIntrospection)
	for _, name := range []string{"oauth-authorization-server", "openid-configuration"} {
		mux.HandleFunc("/.well-known/"+name, i.serveMetadata)
		mux.HandleFunc("/.well-known/"+name+"/rotating", i.serveMetadata)
		mux.HandleFunc("/rotating/.well-known/"+name, i.serveMetadata)
	}
	mux.HandleFunc("/rotating/jwks", i.serveRotating)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/down") {
			http.Error(w, "down on purpose", http.StatusServiceUnavailable)
			return
		}
		http.NotFound(w, r)
	})
	return mux
}

// URL is the issuer identifier, the claim iss of its tokens.
func (i *Issuer) URL() string { return i.url }

// Close stops the issuer.
func (i *Issuer) Close() error {
	if err := i.server.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (i *Issuer) issuers() map[string]recipe.Issuer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return map[string]recipe.Issuer{
		"":         {URL: i.url, Key: i.key, KeyID: i.keyID},
		"down":     {URL: i.url + "/down", Key: i.rogue, KeyID: "down"},
		"rogue":    {URL: "https://rogue.example.net", Key: i.rogue, KeyID: "rogue"},
		"rotating": i.current, "rotated": i.former,
	}
}

// rotate takes a new key for the issuer "rotating", which forgets its old one.
func (i *Issuer) rotate() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.former = i.current
	i.current = recipe.Issuer{URL: i.url + "/rotating", Key: mint.New("ES256"), KeyID: "r" + rand.Text()}
}

// register makes a token of which introspection says these claims.
func (i *Issuer) register(claims string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	token := "opaque-" + rand.Text()
	i.opaque[token] = claims
	return token
}

// introspections returns how often introspection was asked, and with how many proofs.
func (i *Issuer) introspections() (asked, proofs int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked, i.proofs
}

// fail brings an outage about, or ends it.
func (i *Issuer) fail(outage string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.outage = outage
}

func (i *Issuer) serveMetadata(w http.ResponseWriter, r *http.Request) {
	own := i.url
	if strings.Contains(r.URL.Path, "/rotating") {
		own += "/rotating"
	}
	writeJSON(w, map[string]any{
		"issuer": own, "jwks_uri": own + "/jwks", "introspection_endpoint": i.url + "/introspect",
		"authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"dpop_signing_alg_values_supported":     []string{"ES256"},
		"introspection_endpoint_auth_methods_supported": []string{
			"client_secret_basic", "client_secret_post",
		},
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) { writeKey(w, i.key, i.keyID) }

func (i *Issuer) serveRotating(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	current := i.current
	i.mu.Unlock()
	writeKey(w, current.Key, current.KeyID)
}

func writeKey(w http.ResponseWriter, key *mint.Key, id string) {
	own := key.JWK()
	own["kid"], own["alg"], own["use"] = id, "ES256", "sig"
	writeJSON(w, map[string]any{"keys": []any{own}})
}

func (i *Issuer) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	i.proofs += len(r.Header["Dpop"])
	switch i.outage {
	case "introspection":
		http.Error(w, "down on purpose", http.StatusServiceUnavailable)
		return
	case "introspection-garbage":
		_, _ = w.Write([]byte("<html>"))
		return
	}
	var claims map[string]any
	if text, ok := i.opaque[r.PostFormValue("token")]; ok && json.Unmarshal([]byte(text), &claims) == nil {
		if _, said := claims["active"]; !said {
			claims["active"] = true
		}
	} else {
		claims = map[string]any{"active": false}
	}
	writeJSON(w, claims)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the server under test may have gone
}
