package access

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Handler lets a request pass to next only with an access token that is valid and was issued to its sender, and only if
// it meets every demand. The grant is in the context: [GrantFrom]. A request is judged once, however many Handlers of
// one Guard it passes through. CORS middleware belongs in front of it, since a preflight carries no credentials. It
// panics on a wrong demand, since routes are made when a program starts.
func (g *Guard) Handler(next http.Handler, demands ...Requirement) http.Handler {
	return g.handler(next, must(g.Route(demands...)))
}

// Stream is [Guard.Handler] for routes whose responses go on for long: server-sent events, WebSockets, long polls. It
// ends the context of the request as soon as another request with its token would be refused; [Guard.Watch] says when
// exactly, and what [context.Cause] gives then. The handler has to heed r.Context(). If it has written nothing by then,
// the client gets the refusal. It panics on a wrong setting.
func (g *Guard) Stream(next http.Handler, s Stream, demands ...Requirement) http.Handler {
	return g.handler(next, must(g.StreamRoute(s, demands...)))
}

func must(route *Route, err error) *Route {
	if err != nil {
		panic(err.Error())
	}
	return route
}

func (g *Guard) handler(next http.Handler, route *Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = route.Serve(Passage{Writer: w, RefusalWriter: w, Request: r}, serving(next), writing(w))
	})
}

// serving is a handler as what comes next.
func serving(next http.Handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		next.ServeHTTP(w, r)
		return nil
	}
}

// writing writes refusals as they are written without a framework.
func writing(w http.ResponseWriter) func(*Error, bool) error {
	return func(refusal *Error, _ bool) error {
		refusal.write(w)
		return nil
	}
}

// Route is what an adapter serves one route with, or one group of them. It is immutable and safe for concurrent use.
type Route struct {
	guard   *Guard
	demands []Requirement
	stream  *Stream
}

// Route checks the demands of a route. Its error names the field and what to put there.
func (g *Guard) Route(demands ...Requirement) (*Route, error) {
	own, err := ownDemands(demands)
	if err != nil {
		return nil, err
	}
	for _, d := range own {
		g.collect(d.Scopes)
		g.collect(d.AnyScope)
	}
	return &Route{guard: g, demands: own}, nil
}

// ownDemands checks demands and returns a copy.
func ownDemands(demands []Requirement) (own []Requirement, err error) {
	for _, d := range demands {
		if err := d.Validate(); err != nil {
			return nil, err
		}
		own = append(own, d.copied())
	}
	return own, nil
}

// StreamRoute is [Guard.Route] for responses that go on for long.
func (g *Guard) StreamRoute(s Stream, demands ...Requirement) (*Route, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	s.Policies = slices.Clone(s.Policies)
	route, err := g.Route(demands...)
	if err == nil {
		route.stream = &s
	}
	return route, err
}

// Passage is one request on its way through a [Route], as an adapter hands it over.
type Passage struct {
	// Writer is what the next handler's answer is written to, and RefusalWriter what a refusal is: frameworks have
	// their own for that. They have one header.
	Writer, RefusalWriter http.ResponseWriter
	Request               *http.Request
	// Pattern is what the router matched, and never the path. Empty asks [Config.Route].
	Pattern string
}

// Serve is what every adapter does with a request: it judges it, unless an outer Route of the Guard has, compares it
// with the demands of the route, tells the decision once it is complete, and calls either next or refuse, whose error it
// returns.
//
// next is the next handler, with the writer and the request to go on with. refuse writes a refusal, whose headers are
// set; with now set it has to be written before refuse returns, because the connection is closed behind it. It is not
// called where [Config.Deny] has written an answer.
func (t *Route) Serve(p Passage, next func(http.ResponseWriter, *http.Request) error, refuse func(e *Error, now bool) error) error {
	g := t.guard
	if g.servesMetadata(p.RefusalWriter, p.Request) {
		return nil
	}
	x, refusal := g.enter(p.Request, p.Pattern)
	return t.pass(p, x, refusal, next, refuse)
}

// pass goes on with a request that was judged.
func (t *Route) pass(
	p Passage, x *exchange, refusal *Error,
	next func(http.ResponseWriter, *http.Request) error, refuse func(e *Error, now bool) error,
) error {
	if refusal != nil {
		refusal = refusal.asking(t.scopes())
	}
	for i := 0; refusal == nil && i < len(t.demands); i++ {
		refusal = t.guard.compare(x.grant, t.demands[i])
	}
	if refusal != nil {
		return x.refuse(p, refusal, refuse)
	}
	w, r, outermost := x.proceed(p)
	if outermost {
		defer x.end()
	}
	if t.stream == nil {
		return next(w, r)
	}
	return x.watch(p, w, r, *t.stream, next, refuse)
}

// scopes are those that a token for the route needs.
func (t *Route) scopes() string {
	var all []string
	for _, d := range t.demands {
		for _, scope := range slices.Concat(d.Scopes, d.AnyScope) {
			if !slices.Contains(all, scope) {
				all = append(all, scope)
			}
		}
	}
	return strings.Join(all, " ")
}

// exchange is one request on its way through the Routes of one Guard, and the context of the request behind the first of
// them.
type exchange struct {
	context.Context
	guard *Guard
	grant *Grant

	// as judged: a request that differs in one of them is another
	method, target, authorization string
	cookies                       string // if the token was in one

	response response
	told     atomic.Bool

	mu      sync.Mutex    // an inner Route may run on when an outer one has returned, in http.TimeoutHandler for one
	request *http.Request // as handed on by the innermost Route
	pattern string        // that it matched; empty asks Config.Route
}

type exchangeKey struct{ guard *Guard }

type grantKey struct{}

// Value gives the exchange itself, and the grant of the innermost Guard.
func (x *exchange) Value(key any) any {
	switch key := key.(type) {
	case exchangeKey:
		if key.guard == x.guard {
			return x
		}
	case grantKey:
		return x.grant
	}
	return x.Context.Value(key)
}

// GrantFrom returns who is calling and what for. It is never nil behind [Guard.Handler] and its kin, and nil elsewhere.
func GrantFrom(ctx context.Context) *Grant {
	grant, _ := ctx.Value(grantKey{}).(*Grant)
	return grant
}

// WithGrant returns a context in which [GrantFrom] finds a grant, so that a test can call a handler without the Guard, a
// token and a proof. It opens no route: a Guard judges each request itself, and what it finds takes its place.
func WithGrant(ctx context.Context, grant *Grant) context.Context {
	return context.WithValue(ctx, grantKey{}, grant)
}

// enter returns the exchange of a request: that of an outer Route which accepted it, or a new one. An internal request
// that carries the context of another is judged anew.
func (g *Guard) enter(r *http.Request, pattern string) (*exchange, *Error) {
	x, ok := r.Context().Value(exchangeKey{g}).(*exchange)
	authorization := strings.Join(r.Header["Authorization"], "\n")
	if ok && x.method == r.Method && x.target == r.RequestURI && x.authorization == authorization &&
		(x.cookies == "" || x.cookies == cookies(r)) {
		return x, nil
	}
	x = &exchange{Context: r.Context(), guard: g, method: r.Method, target: r.RequestURI, authorization: authorization}
	var refusal *Error
	x.grant, refusal = g.authenticate(r, pattern)
	if x.grant.from.cookie != "" {
		x.cookies = cookies(r)
	}
	return x, refusal
}

func cookies(r *http.Request) string { return strings.Join(r.Header["Cookie"], "\n") }

// proceed returns what the next handler gets. The headers of the answer are set now, for whatever writes past our
// writer, and again when an answer begins.
func (x *exchange) proceed(p Passage) (w http.ResponseWriter, r *http.Request, outermost bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p.Pattern != "" {
		x.pattern = p.Pattern
	}
	if x.request != nil { // by an outer Route
		x.request = p.Request
		return p.Writer, p.Request, false
	}
	x.request = x.guard.conceal(p.Request).WithContext(x)
	x.target = x.request.RequestURI
	x.grant.SetHeaders(p.Writer.Header())
	x.response = response{ResponseWriter: p.Writer, exchange: x}
	return &x.response, x.request, true
}

// begin is called before the first octet of an answer: so a handler's own Cache-Control does not let a nonce be stored,
// and the decision about a response that lasts for hours is told when it begins.
func (x *exchange) begin(h http.Header) error {
	x.grant.SetHeaders(h)
	return x.accept()
}

// end tells the decision where the handler has not begun an answer.
func (x *exchange) end() {
	if err := x.accept(); err != nil {
		x.response.fail(err)
	}
}

// accept tells the decision about an accepted request, once. The error is that of an Observer that panicked.
func (x *exchange) accept() error {
	if x.told.Swap(true) {
		return nil
	}
	x.mu.Lock()
	r, pattern := x.request, x.pattern
	x.mu.Unlock()
	return x.guard.tell(r, pattern, x.grant, nil)
}

// refuse answers a refusal. Whatever happens in here, the handler does not run.
func (x *exchange) refuse(p Passage, e *Error, render func(*Error, bool) error) error {
	x.told.Store(true)
	e = x.guard.decided(p.Request, p.Pattern, x.grant, e)
	return x.guard.respond(p.RefusalWriter, p.Request, e, render)
}

// respond renders a refusal, by Deny if that writes anything.
func (g *Guard) respond(w http.ResponseWriter, r *http.Request, e *Error, render func(*Error, bool) error) (err error) {
	linger := g.endBody(w, r)
	e.SetHeaders(w.Header())
	if shown := g.conceal(r); shown != r {
		keepPrivate(w.Header())
		r = shown
	}
	denied := response{ResponseWriter: w}
	if g.config.Deny != nil {
		if err := guarded("Deny", func() error { g.config.Deny(&denied, r, e); return nil }); err != nil {
			g.config.Log.ErrorContext(r.Context(), "Deny failed", "cause", err.Error())
		}
	}
	if !denied.begun {
		err = render(e, linger != nil)
	}
	if linger != nil {
		linger()
	}
	return err
}

// WriteError answers a request that [Guard.Check] or [Guard.Allow] refused: by [Config.Deny], or with a JSON body that
// holds the description. An error that is not an [*Error] is answered as our own trouble.
func (g *Guard) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = unavailable(err)
	}
	_ = g.respond(w, r, e, func(e *Error, _ bool) error {
		e.write(w)
		return nil
	})
}

// watch looks after a response that goes on for long, and at how it comes to its end.
func (x *exchange) watch(p Passage, w http.ResponseWriter, r *http.Request, s Stream,
	next func(http.ResponseWriter, *http.Request) error, refuse func(*Error, bool) error) error {
	ctx, cancel := x.guard.Watch(r, x.grant, s)
	defer cancel()
	watched := r.WithContext(ctx)
	x.mu.Lock()
	x.request = watched
	x.mu.Unlock()
	err := next(w, watched)
	e, cut := errors.AsType[*Error](context.Cause(ctx))
	switch {
	case !cut:
		return err
	case !x.response.begun && (err == nil || errors.Is(err, ctx.Err())):
		return x.refuse(p, e, refuse)
	}
	d := x.guard.decision(r, x.guard.route(watched, p.Pattern), x.grant, e)
	d.abandoned = false // it was cut before the client went; a connection that was taken over is gone by now
	x.guard.say(r.Context(), "response ended", d)
	return err
}
