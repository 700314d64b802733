package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/reason"
)

// Proxy is a reverse proxy that forwards what its Guard accepts. Make one with [New]; it is safe for concurrent use.
type Proxy struct {
	config    Config // complete
	routes    routes
	published published
	cors      cors
	proxy     *httputil.ReverseProxy
}

// New checks the settings and makes a reverse proxy. Its error names the field and what to put there. It asks nothing of
// the services, so one that is down does not keep a gateway from starting. The server that serves it limits the size of
// headers and the time that clients take.
func New(config Config) (*Proxy, error) {
	p := &Proxy{config: config, routes: routes{http.NewServeMux()}, cors: cors{config.CORSOrigin}}
	c := &p.config
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("gateway.Config: %w", err)
	}
	for i, r := range c.Routes {
		made, err := c.makeRoute(r, http.HandlerFunc(p.forward))
		if err == nil {
			err = p.routes.add(made)
		}
		if err != nil {
			return nil, fmt.Errorf("gateway.Config: Routes[%d].%w", i, err)
		}
	}
	p.published = c.Guard.MetadataPaths()
	p.proxy = &httputil.ReverseProxy{
		Rewrite: p.rewrite, ModifyResponse: answered, ErrorHandler: p.failed, Transport: c.Transport,
		BufferPool: &buffers{},
		ErrorLog:   slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	return p, nil
}

// buffers are what answers are copied through, used again.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }

func (c *Config) transport() http.RoundTripper {
	dialer := &net.Dialer{Timeout: min(c.Timeout, 10*time.Second), KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: c.Timeout, ExpectContinueTimeout: time.Second, IdleConnTimeout: 90 * time.Second,
		MaxIdleConns: 1000, MaxIdleConnsPerHost: 200, DisableCompression: true, MaxResponseHeaderBytes: 256 << 10,
	}
}

// passage is a request on its way to a service.
type passage struct {
	route  *route
	target target
	idle   idle
	cut    bool // the answer has begun, and does not come to its end
}

type passageKey struct{}

// ServeHTTP finds the route of a request, lets the Guard judge it and forwards what it accepts.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pass := &passage{idle: idle{limit: p.config.Idle}}
	pass.idle.all.Store(r.ProtoMajor != 1 || r.ContentLength == 0)
	if p.published.has(r) {
		pass.idle.letGo(w)
		p.config.Guard.MetadataHandler().ServeHTTP(w, r)
		return
	}
	shared := p.cors.share(w, r)
	if p.cors.origin != "" && isPreflight(r) {
		pass.idle.letGo(w)
		answerPreflight(shared)
		return
	}
	route, target, err := p.routes.find(r.Method, r.RequestURI)
	if err != nil {
		pass.idle.letGo(w)
		refuse(p.config.Log, shared, r, err)
		return
	}
	pass.route, pass.target = route, target
	ctx, release := pass.idle.watch(context.WithValue(r.Context(), passageKey{}, pass), w)
	defer release()
	r = r.WithContext(ctx)
	r.Pattern = route.Pattern
	if r.Body = pass.idle.body(r.Body); r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, p.config.MaxBody)
	}
	route.judged.ServeHTTP(shared, r)
	if pass.cut {
		panic(http.ErrAbortHandler) // which the client has to see
	}
}

// published are the paths of the Guard's metadata, which it serves to everyone.
type published []string

func (p published) has(r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return slices.Contains(p, path)
}

// forward sends a request to its service, which may begin its answer before it has all of the body.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	defer func() { // so that the Guard tells why an answer was cut off
		if cause := recover(); cause == http.ErrAbortHandler {
			r.Context().Value(passageKey{}).(*passage).cut = true
		} else if cause != nil {
			panic(cause)
		}
	}()
	p.proxy.ServeHTTP(w, r)
	if !errors.Is(context.Cause(r.Context()), errIdle) {
		r.Context().Value(passageKey{}).(*passage).idle.letGo(w)
	}
}

// rewrite makes the request that a service gets: the path octet for octet, nothing of what only the gateway may say, and
// then what it does say. Fields that hop by hop are gone before it is called, so a Connection field takes none of ours
// away.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	pass := pr.In.Context().Value(passageKey{}).(*passage)
	up, out := pass.route.upstream, pr.Out
	strip(out.Header)
	out.Trailer = nil
	if !strings.EqualFold(out.Header.Get("Upgrade"), "websocket") { // such as h2c, in which other requests would hide
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	_, query, asked := strings.Cut(pr.In.RequestURI, "?")
	out.URL = &url.URL{Scheme: up.Scheme, Host: up.Host, Opaque: pass.target.path, RawQuery: query, ForceQuery: asked}
	out.Host = up.Host
	pr.SetXForwarded()
	if p.config.Authorization != "" {
		out.Header.Set("Authorization", p.config.Authorization)
	}
	if grant := access.GrantFrom(pr.In.Context()); grant != nil && !pass.route.Public {
		if err := p.config.Signer.identify(out.Header, grant, up.origin, out.Method, pr.In.RequestURI); err != nil {
			// A service must not get a request that says nothing of its caller.
			out.URL = &url.URL{Scheme: "none", Host: "none"}
			p.config.Log.ErrorContext(pr.In.Context(), "identity could not be signed", "cause", err.Error())
		}
	}
}

// answered takes out of an answer what is the gateway's to say, and looks whether it goes on.
func answered(response *http.Response) error {
	response.Header.Del("DPoP-Nonce")
	pass := response.Request.Context().Value(passageKey{}).(*passage)
	if response.StatusCode != http.StatusSwitchingProtocols {
		pass.idle.closes(response.Header)
	}
	response.Body = pass.idle.answer(response.Body)
	return nil
}

// failed answers for a service that does not. Where the token ended meanwhile, the Guard does.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	pass := r.Context().Value(passageKey{}).(*passage)
	pass.idle.closes(w.Header())
	if _, cut := errors.AsType[*access.Error](context.Cause(r.Context())); cut {
		return
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if pass.idle.late.Load() {
		http.Error(w, "the body did not come", http.StatusRequestTimeout)
		return
	}
	if r.Context().Err() != nil && !errors.Is(context.Cause(r.Context()), errIdle) { // the client has gone
		pass.cut = true
		return
	}
	status := http.StatusBadGateway
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() || errors.Is(context.Cause(r.Context()), errIdle) {
		status = http.StatusGatewayTimeout
	}
	p.config.Log.ErrorContext(r.Context(), "service does not answer",
		"upstream", pass.route.upstream.origin, "route", pass.route.Pattern, "status", status, "cause", err.Error())
	http.Error(w, http.StatusText(status), status)
}

// refuse answers what no route takes.
func refuse(log *slog.Logger, w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusNotFound
	switch {
	case errors.Is(err, ErrAsker):
		status = http.StatusForbidden
	case errors.Is(err, ErrPath) || errors.Is(err, ErrForwarded):
		status = http.StatusBadRequest
	case errors.Is(err, ErrMethod):
		status = http.StatusMethodNotAllowed
	}
	log.InfoContext(r.Context(), "request refused", "reason", reason.Of(err), "status", status, "peer", r.RemoteAddr, "cause", err.Error())
	http.Error(w, http.StatusText(status), status)
}
