package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/peer"
	"github.com/senderlock/senderlock/internal/serving"
	"github.com/senderlock/senderlock/reason"
)

// The causes for refusing what a proxy asks before the Guard is asked.
var (
	ErrAsker     = reason.New("forward_auth_stranger", "the question comes from nobody who may ask")
	ErrForwarded = reason.New("forwarded_fields_contradict", "fields about the original request contradict each other")
	// ErrNotForwarded means that the proxy is not set up as its preset wants. It is our own trouble.
	ErrNotForwarded = reason.NewTrouble("forwarded_field_missing", "gateway: a field about the original request is missing")
)

// Preset is the proxy that asks: from which of its fields the original request is read. docs/gateway.md has the settings
// of each.
type Preset string

// The presets.
const (
	NGINX   Preset = "nginx"   // auth_request; X-Original-Method and X-Original-URI, which its configuration sets
	Caddy   Preset = "caddy"   // forward_auth, or what it stands for
	Traefik Preset = "traefik" // ForwardAuth
	HAProxy Preset = "haproxy" // cmd/senderlock/haproxy/senderlock.lua, which sends the same as nginx
	Envoy   Preset = "envoy"   // ext_authz over HTTP, which asks with method, path and Host of the original request
)

// What a question tells of the original request.
const (
	kindMethod = iota
	kindURI
	kindScheme
	kindHost
	kinds
)

// source names the field that tells each. An empty one is the question's own.
type source [kinds]string

const (
	forwardedProto = "X-Forwarded-Proto"
	forwardedHost  = "X-Forwarded-Host"
)

var presets = map[Preset]source{
	NGINX:   {"X-Original-Method", "X-Original-Uri", forwardedProto, forwardedHost},
	Caddy:   {"X-Forwarded-Method", "X-Forwarded-Uri", forwardedProto, forwardedHost},
	Traefik: {"X-Forwarded-Method", "X-Forwarded-Uri", forwardedProto, forwardedHost},
	HAProxy: {"X-Original-Method", "X-Original-Uri", forwardedProto, forwardedHost},
	Envoy:   {kindScheme: forwardedProto},
}

// same are the names under which proxies tell the same thing. What one of them says beside the preset's own must not
// differ, since the service may read that.
var same = [kinds][]string{
	{"X-Original-Method", "X-Forwarded-Method"},
	{"X-Original-Uri", "X-Forwarded-Uri", "X-Original-Url", "X-Rewrite-Url"},
	{forwardedProto, "X-Forwarded-Scheme", "X-Scheme"},
	{forwardedHost, "X-Original-Host"},
}

// ForwardAuthConfig holds the settings of forward authentication.
type ForwardAuthConfig struct {
	// Guard judges. Its ForwardedBy says nothing here. It is the caller's to close. Required.
	Guard *access.Guard
	// Routes are all that may be asked for, and Upstream of each names the service to which the proxy forwards. Required.
	Routes []Route
	// Upstream names the service in the aud of [FieldAssertion] where a Route has none. Required, unless each has one.
	Upstream string
	// Signer signs [FieldAssertion]. Required.
	Signer *Signer
	// Preset is the proxy that asks. Required.
	Preset Preset
	// Peers are those that may ask, and whose fields are believed. Required.
	Peers access.Peers
	// CORSOrigin is [Config.CORSOrigin]. The proxy hands preflights on, and takes from answers what they say of CORS.
	CORSOrigin string
	// Idle is for how long the connection of a question is held by a body that does not come; none is wanted. Zero means
	// five minutes; a day is the most.
	Idle time.Duration
	// Log hears at Info of requests that no route takes, and at Error of a proxy that is not set up. Nil means
	// [slog.Default].
	Log *slog.Logger
}

// ForwardAuth answers proxies: 200 with every identity field, empty where there is nothing to say, or the refusal that
// the client is to get. Make one with [NewForwardAuth]; it is safe for concurrent use.
type ForwardAuth struct {
	config    ForwardAuthConfig
	peers     *peer.Checker
	source    source
	routes    routes
	published published
	cors      cors
}

// NewForwardAuth checks the settings. Its error names the field and what to put there.
func NewForwardAuth(config ForwardAuthConfig) (*ForwardAuth, error) {
	f := &ForwardAuth{config: config, routes: routes{http.NewServeMux()}, cors: cors{config.CORSOrigin}}
	if err := f.settle(); err != nil {
		return nil, fmt.Errorf("gateway.ForwardAuthConfig: %w", err)
	}
	f.published = config.Guard.MetadataPaths()
	return f, nil
}

func (f *ForwardAuth) settle() (err error) {
	c := &f.config
	if c.Log == nil {
		c.Log = slog.Default()
	}
	known := false
	f.source, known = presets[c.Preset]
	switch {
	case c.Guard == nil:
		return errors.New("Guard is nil: give one of access.New")
	case c.Signer == nil:
		return errors.New("Signer is nil: give one of NewSigner")
	case len(c.Routes) == 0:
		return errors.New("Routes is empty: list what may be asked for; everything else is refused")
	case !known:
		return fmt.Errorf("Preset is %q: give nginx, caddy, traefik, haproxy or envoy", c.Preset)
	case c.Peers.IsZero():
		return errors.New("Peers is zero: list the addresses of the proxy that asks")
	}
	if f.peers, err = c.Peers.Checker(); err != nil {
		return fmt.Errorf("Peers%w", err)
	}
	if err := errors.Join(f.cors.validate(), validIdle(&c.Idle)); err != nil {
		return err
	}
	for i, r := range c.Routes {
		if err := f.add(r); err != nil {
			return fmt.Errorf("Routes[%d].%w", i, err)
		}
	}
	return nil
}

func (f *ForwardAuth) add(r Route) (err error) {
	if err := r.validate(); err != nil {
		return err
	}
	made := &route{Route: r}
	if made.upstream, err = newUpstream(r.Upstream, f.config.Upstream); err != nil {
		return err
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.accept(made, w, r) })
	if made.judged = next; !r.Public {
		made.judged = f.config.Guard.Handler(next, r.Requirement)
	}
	return f.routes.add(made)
}

// ServeHTTP answers one question.
func (f *ForwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serving.NoBody(w, r, f.config.Idle)
	asksByGET := f.source[kindMethod] != "" // and else with the method of the original request
	if asksByGET && r.Method == http.MethodOptions || f.cors.origin != "" && isPreflight(r) {
		f.preflight(f.cors.share(w, r), r)
		return
	}
	if f.source[kindURI] != "" && strings.HasPrefix(r.RequestURI, "/.well-known/") { // it is for everyone, and no question
		if !f.published.has(r) {
			http.NotFound(w, r)
			return
		}
		f.config.Guard.MetadataHandler().ServeHTTP(w, r)
		return
	}
	w = f.cors.share(w, r)
	for _, name := range fields { // whatever the answer is, a proxy that copies them copies nothing of a client
		w.Header().Set(name, "")
	}
	w.Header().Set("Cache-Control", "no-store")
	original, err := f.original(r)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	route, _, err := f.routes.find(original.Method, original.RequestURI)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	original.Pattern = route.Pattern
	route.judged.ServeHTTP(w, original)
}

// preflight answers one that the proxy hands on as it came. It is no question: a proxy that asks so would take 2xx for
// leave to forward.
func (f *ForwardAuth) preflight(w http.ResponseWriter, r *http.Request) {
	if told := f.source[kindMethod]; told != "" && len(r.Header.Values(told)) > 0 {
		f.refuse(w, r, ErrForwarded.With("a preflight without "+told, ""))
		return
	}
	answerPreflight(w)
}

// accept says that a request may go on, and whose it is.
func (f *ForwardAuth) accept(route *route, w http.ResponseWriter, r *http.Request) {
	if grant := access.GrantFrom(r.Context()); grant != nil && !route.Public {
		if err := f.config.Signer.identify(w.Header(), grant, route.upstream.origin, r.Method, r.RequestURI); err != nil {
			f.config.Log.ErrorContext(r.Context(), "identity could not be signed", "cause", err.Error())
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
			return
		}
	}
	w.WriteHeader(http.StatusOK)
}

// original is the request that the proxy asks about, as it came over the wire to the proxy.
func (f *ForwardAuth) original(r *http.Request) (*http.Request, error) {
	if !f.peers.Believes(r) {
		return nil, ErrAsker.With("one of Peers", r.RemoteAddr)
	}
	scheme, err := f.told(r, kindScheme, "")
	if err != nil {
		return nil, err
	}
	if scheme != "http" && scheme != "https" {
		return nil, ErrForwarded.With("http or https in "+f.source[kindScheme], scheme)
	}
	o := r.Clone(r.Context())
	o.Body, o.ContentLength, o.TransferEncoding = http.NoBody, 0, nil
	if o.Method, err = f.told(r, kindMethod, r.Method); err != nil {
		return nil, err
	}
	if o.RequestURI, err = f.told(r, kindURI, r.RequestURI); err != nil {
		return nil, err
	}
	if o.Host, err = f.told(r, kindHost, r.Host); err != nil {
		return nil, err
	}
	if o.URL, err = url.ParseRequestURI(o.RequestURI); err != nil {
		return nil, ErrPath.With("a path", "")
	}
	o.TLS = nil // the connection of the proxy says nothing of the client, and the proxy's certificate is not the client's
	if scheme == "https" {
		o.TLS = &tls.ConnectionState{}
	}
	for _, names := range same {
		for _, name := range names {
			o.Header.Del(name)
		}
	}
	return o, nil
}

// told is what the proxy says, in a field that is there once or by the question itself. Nothing else in the request may
// say otherwise.
func (f *ForwardAuth) told(r *http.Request, kind int, own string) (string, error) {
	name := f.source[kind]
	if name != "" {
		switch values := r.Header.Values(name); {
		case len(values) == 0 || values[0] == "":
			return "", ErrNotForwarded.With(name+" of preset "+string(f.config.Preset), "")
		case len(values) > 1:
			return "", ErrForwarded.With("one "+name, fmt.Sprint(len(values)))
		default:
			own = values[0]
		}
	}
	for _, other := range same[kind] {
		for _, value := range r.Header.Values(other) {
			if value != own {
				return "", ErrForwarded.With("nothing else in "+other+" than the proxy says", "")
			}
		}
	}
	return own, nil
}

// refuse answers what the Guard is not asked about.
func (f *ForwardAuth) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ErrNotForwarded):
		f.config.Log.ErrorContext(r.Context(), "request could not be decided", "reason", reason.Of(err), "peer", r.RemoteAddr, "cause", err.Error())
		w.Header().Set("Retry-After", "1")
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
	default:
		refuse(f.config.Log, w, r, err)
	}
}
