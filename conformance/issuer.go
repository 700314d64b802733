package conformance

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
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
// take it out of the configuration after the test. Below URL()+"/down" is a second issuer whose keys cannot be had.
type Issuer struct {
	url      string
	server   *http.Server
	listener net.Listener
	key      *mint.Key
	keyID    string
	rogue    *mint.Key

	mu     sync.Mutex
	opaque map[string]string
	proofs int // DPoP fields that came to introspection
	asked  int
	outage string
}

// NewIssuer starts an issuer at an address such as "127.0.0.1:9700"; port 0 takes a free one. identifier is the URL
// under which the server under test reaches it; empty means http at the address. Close it when done.
func NewIssuer(address, identifier string) (*Issuer, error) {
	u, err := url.Parse(identifier)
	if err != nil || identifier != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("conformance: the issuer's identifier is %q: give an http or https URL, or nothing", identifier)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("conformance: the issuer cannot listen, give it another address: %w", err)
	}
	i := &Issuer{
		url: cmp.Or(identifier, "http://"+listener.Addr().String()), listener: listener, keyID: "k" + rand.Text(),
		key: mint.New("ES256"), rogue: mint.New("ES256"), opaque: map[string]string{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", i.serveKeys)
	mux.HandleFunc("/introspect", i.serveIntrospection)
	mux.HandleFunc("/.well-known/oauth-authorization-server", i.serveMetadata)
	mux.HandleFunc("/.well-known/openid-configuration", i.serveMetadata)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/down") {
			http.Error(w, "down on purpose", http.StatusServiceUnavailable)
			return
		}
		http.NotFound(w, r)
	})
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = i.server.Serve(listener) }() // ends with Close
	return i, nil
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
	return map[string]recipe.Issuer{
		"":      {URL: i.url, Key: i.key, KeyID: i.keyID},
		"down":  {URL: i.url + "/down", Key: i.rogue, KeyID: "down"},
		"rogue": {URL: "https://rogue.example.net", Key: i.rogue, KeyID: "rogue"},
	}
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

func (i *Issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{
		"issuer": i.url, "jwks_uri": i.url + "/jwks", "introspection_endpoint": i.url + "/introspect",
		"authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"dpop_signing_alg_values_supported":     []string{"ES256"},
		"introspection_endpoint_auth_methods_supported": []string{
			"client_secret_basic", "client_secret_post",
		},
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	own := i.key.JWK()
	own["kid"], own["alg"], own["use"] = i.keyID, "ES256", "sig"
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
