package access

import (
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
	// host, and perhaps a path of letters, digits and -._~ ("https://api.example.com/v1") and a query of these and = and
	// &, which RFC 8707 §2 advises against. On loopback addresses it may be http. Required.
	URL string
	// Scopes are the scopes to ask for. Nil lists those that routes require.
	Scopes []string
	// Name is for people who are asked for their consent. Empty leaves it out.
	Name string
	// Documentation is the address of a page for developers. Empty leaves it out.
	Documentation string
}

// metadata is the protected resource metadata of a [Guard] (RFC 9728 §2). Members without values are left out of
// its JSON. It is an [http.Handler] that serves itself, to everyone: mount it at [Guard.MetadataPaths].
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

// A publication is a resource and where its metadata is found.
type publication struct {
	*Resource
	origin, path string   // of its identifier
	parameters   []string // those of its query
	at           *url.URL
	standing     map[scheme]string // what challenges say that point to it
}

// published returns what the Guard's settings say of a resource, or nil if there is none.
func (g *Guard) published(p *publication) *metadata {
	if p == nil {
		return nil
	}
	c := &g.config
	m := &metadata{
		Resource: p.URL, Scopes: slices.Clone(p.Scopes), AuthorizationServers: g.tokens.Issuers(),
		Name: p.Name, Documentation: p.Documentation,
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

// MetadataHandler serves the metadata to everyone, for each of [Guard.MetadataPaths]. Scopes that routes require after it
// was made are listed too. It answers 404 for a query or a host of none of the [Config.Resources].
func (g *Guard) MetadataHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.published(g.named(r)).ServeHTTP(w, r) })
}

// servesMetadata answers a request for the published metadata, so that a Guard in front of everything does not ask for
// a token there.
func (g *Guard) servesMetadata(w http.ResponseWriter, r *http.Request) bool {
	here := func(p publication) bool { return p.at.Path == r.URL.Path }
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !slices.ContainsFunc(g.publications, here) {
		return false
	}
	g.MetadataHandler().ServeHTTP(w, r)
	return true
}

// named finds the resource whose metadata a request is for. Wherever the only one is served, it is that.
func (g *Guard) named(r *http.Request) *publication {
	if len(g.publications) == 1 {
		return &g.publications[0]
	}
	target := g.target(r)
	for i := range g.publications {
		p := &g.publications[i]
		if p.at.Path == r.URL.Path && p.at.RawQuery == r.URL.RawQuery && strings.HasPrefix(target, p.origin+"/") {
			return p
		}
	}
	return nil
}

// covering finds the resource that a request is for, by the rule of [Config.Resources].
func (g *Guard) covering(r *http.Request) *publication {
	target, query := g.target(r), strings.Split(r.URL.RawQuery, "&")
	best, length := &g.publications[0], [2]int{-1, 0}
	for i := range g.publications {
		p := &g.publications[i]
		base := p.origin + strings.TrimSuffix(p.path, "/")
		missing := func(parameter string) bool { return !slices.Contains(query, parameter) }
		if target != base && !strings.HasPrefix(target, base+"/") || slices.ContainsFunc(p.parameters, missing) {
			continue
		}
		if l := [2]int{len(base), len(p.parameters)}; slices.Compare(l[:], length[:]) > 0 {
			best, length = p, l
		}
	}
	return best
}

// target is the public URI of a request without its query, or empty if that cannot be told.
func (g *Guard) target(r *http.Request) string {
	if g.proofs != nil {
		target, _ := g.proofs.Target(r)
		return target
	}
	u := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return normalOrigin(&u) + r.URL.EscapedPath()
}

// normalOrigin is the origin of a URL in lower case, without a default port.
func normalOrigin(u *url.URL) string {
	origin := strings.ToLower(u.Scheme + "://" + u.Host)
	return strings.TrimSuffix(origin, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
}

// collect notes scopes that a route requires.
func (g *Guard) collect(scopes []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.scopes = append(g.scopes, scopes...)
	slices.Sort(g.scopes)
	g.scopes = slices.Compact(g.scopes)
}

// MetadataPaths returns each path at which metadata is served, once: the well-known path, with the path of a resource
// identifier behind it (RFC 9728 §3.1). Identifiers that differ in host or query alone share one. There are none without
// [Config.Resources].
func (g *Guard) MetadataPaths() (paths []string) {
	for _, p := range g.publications {
		if !slices.Contains(paths, p.at.Path) {
			paths = append(paths, p.at.Path)
		}
	}
	return paths
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

// settleResources checks what is published, and refuses metadata of a host at which no request is accepted.
func (g *Guard) settleResources() error {
	g.config.Resources = slices.Clone(g.config.Resources)
	for i := range g.config.Resources {
		field := fmt.Sprintf("Resources[%d]", i)
		if err := g.publish(field, &g.config.Resources[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *Guard) publish(field string, resource *Resource) error {
	u, err := resource.identifier(field)
	if err != nil {
		return err
	}
	resource.Scopes = slices.Clone(resource.Scopes)
	p := publication{Resource: resource, origin: normalOrigin(u), path: u.Path, at: new(*u)}
	if u.RawQuery != "" {
		p.parameters = strings.Split(u.RawQuery, "&")
	}
	if p.at.Path == "/" { // RFC 9728 §3.1: a slash right behind the host goes
		p.at.Path = ""
	}
	p.at.Path = wellKnownResource + p.at.Path
	for _, other := range g.publications {
		if other.origin == p.origin && other.at.Path == p.at.Path && other.at.RawQuery == p.at.RawQuery {
			return fmt.Errorf("%s.URL is %s, whose metadata is found where that of %s is: leave one of them", field, setting.Address(resource.URL), other.URL)
		}
	}
	g.publications = append(g.publications, p)
	if g.proofs == nil {
		return nil
	}
	r := &http.Request{Host: u.Host, RequestURI: "/"}
	if _, err := g.proofs.Target(r); err != nil {
		return fmt.Errorf("%s.URL is %q, which is under none of the Origins: give a URL under one of %s",
			field, resource.URL, strings.Join(g.config.Origins, " "))
	}
	return nil
}

var (
	plainPath  = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$`)
	plainQuery = regexp.MustCompile(`^[A-Za-z0-9._~=&-]*$`)
)

// identifier checks the settings and returns the URL.
func (r *Resource) identifier(field string) (*url.URL, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.User != nil || u.String() != r.URL || !plainPath.MatchString(u.EscapedPath()) ||
		u.ForceQuery || !plainQuery.MatchString(u.RawQuery) ||
		strings.Contains(r.URL, "#") || u.Scheme != "https" && (u.Scheme != "http" || !setting.Loopback(u.Hostname())) {
		return nil, fmt.Errorf("%s.URL is %s: give the identifier of this API, such as %q: https, host and a plain path", field, setting.Address(r.URL), "https://api.example.com")
	}
	for _, scope := range r.Scopes {
		if !quotable(scope) {
			return nil, fmt.Errorf("%s.Scopes has %q: give one scope an element, printable ASCII without space, quote and backslash", field, scope)
		}
	}
	if _, err := json.Marshal(r.Name); err != nil {
		return nil, fmt.Errorf("%s.Name is not UTF-8: give a text for people", field)
	}
	if doc, err := url.Parse(r.Documentation); err != nil || r.Documentation != "" && !doc.IsAbs() {
		return nil, fmt.Errorf("%s.Documentation is %s: give the address of a page, or leave it empty", field, setting.Address(r.Documentation))
	}
	return u, nil
}
