package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/senderlock/senderlock/internal/setting"
)

const wellKnownResource = "/.well-known/oauth-protected-resource" // RFC 9728 §3

// Resource is what an API publishes of itself, so that a client that has never met it finds its way to a token
// (RFC 9728). What the Guard knows is not repeated here: it is taken from the Guard's settings.
type Resource struct {
	// URL is the resource identifier, which clients compare exactly with the URL they know the API by: https, a
	// host, and perhaps a path of letters, digits and -._~ ("https://api.example.com/v1"). On loopback addresses it
	// may be http. Required.
	URL string
	// Scopes are the scopes to ask for. Nil lists those that routes require.
	Scopes []string
	// Name is for people who are asked for their consent. Empty leaves it out.
	Name string
	// Documentation is the address of a page for developers. Empty leaves it out.
	Documentation string
}

// metadata is the protected resource metadata of a [Guard] (RFC 9728 §2). Members without values are left out of
// its JSON. It is an [http.Handler] that serves itself, to everyone: mount it at [Guard.MetadataPath].
type metadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported,omitempty"`
	Name                 string   `json:"resource_name,omitempty"`
	Documentation        string   `json:"resource_documentation,omitempty"`

	DPoPAlgorithms []string `json:"dpop_signing_alg_values_supported,omitempty"`
	// DPoPRequired says that every token has to be bound to a DPoP key.
	DPoPRequired bool `json:"dpop_bound_access_tokens_required,omitzero"`
	// CertificateBound says that tokens may be bound to a client certificate.
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitzero"`
}

// published returns what the Guard's settings say, or nil if there is no [Config.Resource].
func (g *Guard) published() *metadata {
	c := &g.config
	if c.Resource == nil {
		return nil
	}
	m := &metadata{
		Resource: c.Resource.URL, Scopes: slices.Clone(c.Resource.Scopes), AuthorizationServers: g.tokens.Issuers(),
		Name: c.Resource.Name, Documentation: c.Resource.Documentation,
		BearerMethods:    []string{"header"}, // RFC 6750 §2.1; what Config.Bearer reads elsewhere is not for new clients
		CertificateBound: c.Certificates != nil,
		DPoPRequired:     g.proofs != nil && c.Certificates == nil && !g.takesBearer(),
	}
	if m.Scopes == nil {
		g.mu.Lock()
		m.Scopes = slices.Clone(g.scopes)
		g.mu.Unlock()
	}
	if g.proofs != nil {
		m.DPoPAlgorithms = g.proofs.Algorithms()
	}
	return m
}

// MetadataHandler serves the metadata to everyone, for [Guard.MetadataPath]. Scopes that routes require after it was
// made are listed too. It answers 404 without [Config.Resource].
func (g *Guard) MetadataHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.published().ServeHTTP(w, r) })
}

// servesMetadata answers a request for the published metadata, so that a Guard in front of everything does not ask for
// a token there.
func (g *Guard) servesMetadata(w http.ResponseWriter, r *http.Request) bool {
	if g.metadata == nil || r.URL.Path != g.metadata.Path || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	g.published().ServeHTTP(w, r)
	return true
}

// collect notes scopes that a route requires.
func (g *Guard) collect(scopes []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.scopes = append(g.scopes, scopes...)
	slices.Sort(g.scopes)
	g.scopes = slices.Compact(g.scopes)
}

// MetadataPath returns where the metadata is served: the well-known path, with the path of the resource identifier
// behind it (RFC 9728 §3.1). It is empty if there is no [Config.Resource].
func (g *Guard) MetadataPath() string {
	if g.metadata == nil {
		return ""
	}
	return g.metadata.Path
}

// ServeHTTP answers GET and HEAD. Code of any origin may read it.
func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := json.Marshal(m)
	if err != nil { // a name that is not UTF-8, in metadata that was made by hand
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(body) // the client may have gone
}

// settleResource checks what is published, and refuses metadata of a host at which no request is accepted.
func (g *Guard) settleResource() (err error) {
	resource := g.config.Resource
	if resource == nil {
		return nil
	}
	if g.metadata, err = resource.metadataURL(); err != nil || g.proofs == nil {
		return err
	}
	r := &http.Request{Host: g.metadata.Host, RequestURI: "/"}
	if _, err := g.proofs.Target(r); err != nil {
		return fmt.Errorf("Resource.URL is %q, which is under none of the Origins: give a URL under one of %s",
			resource.URL, strings.Join(g.config.Origins, " "))
	}
	return nil
}

var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$`)

// metadataURL checks the settings and returns where the metadata is found.
func (r *Resource) metadataURL() (*url.URL, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.User != nil || u.String() != r.URL || !plainPath.MatchString(u.EscapedPath()) ||
		strings.ContainsAny(r.URL, "?#") || u.Scheme != "https" && (u.Scheme != "http" || !setting.Loopback(u.Hostname())) {
		return nil, fmt.Errorf("Resource.URL is %s: give the identifier of this API, such as %q: https, host and a plain path", setting.Address(r.URL), "https://api.example.com")
	}
	for _, scope := range r.Scopes {
		if !quotable(scope) {
			return nil, fmt.Errorf("Resource.Scopes has %q: give one scope an element, printable ASCII without space, quote and backslash", scope)
		}
	}
	if _, err := json.Marshal(r.Name); err != nil {
		return nil, errors.New("Resource.Name is not UTF-8: give a text for people")
	}
	if doc, err := url.Parse(r.Documentation); err != nil || r.Documentation != "" && !doc.IsAbs() {
		return nil, fmt.Errorf("Resource.Documentation is %s: give the address of a page, or leave it empty", setting.Address(r.Documentation))
	}
	if u.Path == "/" { // RFC 9728 §3.1: a slash right behind the host goes
		u.Path = ""
	}
	u.Path = wellKnownResource + u.Path
	return u, nil
}
