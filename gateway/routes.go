package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/senderlock/senderlock/access"
)

// Route is what may be asked for, and what it needs. What no Route lists is refused.
type Route struct {
	// Pattern is one of [http.ServeMux] without a host: "GET /orders/{id}", "/files/{path...}". The most specific one
	// counts. One without a method takes every method but TRACE: its answer is what the service got, the gateway's own
	// credential and the assertion included (RFC 9110 §9.3.8). Required.
	Pattern string
	// Requirement is what the route demands beyond a valid and bound token.
	access.Requirement
	// Public routes ask for no token, and have no Requirement. The service is told nothing of the caller.
	Public bool
	// Allow are the forms of a path that this route takes although they can be read in more than one way. Zero takes
	// none.
	Allow PathForms
	// Upstream takes the place of [Config.Upstream]. Empty does not.
	Upstream string
}

// route is a Route, made.
type route struct {
	Route
	judged   http.Handler // judges, and goes on with what is accepted
	upstream *upstream    // nil: forward authentication
}

// ServeHTTP makes a route something that a ServeMux finds. Nobody calls it.
func (*route) ServeHTTP(http.ResponseWriter, *http.Request) {}

// routes finds routes.
type routes struct{ mux *http.ServeMux }

func (rs *routes) add(r *route) (err error) {
	defer func() { // ServeMux panics on a pattern that is wrong, or in conflict with another
		if p := recover(); p != nil {
			err = fmt.Errorf("Pattern: %v", p)
		}
	}()
	method, path, found := strings.Cut(r.Pattern, " ")
	if !found {
		path = r.Pattern
	} else if method == http.MethodTrace {
		return fmt.Errorf("Pattern is %q: give another method; the answer to TRACE holds what services alone are told", r.Pattern)
	}
	if path = strings.TrimLeft(path, " \t"); !strings.HasPrefix(path, "/") {
		return fmt.Errorf(`Pattern is %q: give a method and a path, such as "GET /orders/{id}"`, r.Pattern)
	}
	rs.mux.Handle(r.Pattern, r)
	return nil
}

// find returns the route of a request and its target. Patterns are compared with the octets that are forwarded.
func (rs *routes) find(method, requestTarget string) (*route, target, error) {
	t, err := readTarget(requestTarget)
	if err != nil {
		return nil, t, err
	}
	plain, err := url.PathUnescape(t.match)
	if err != nil {
		return nil, t, ErrPath
	}
	h, _ := rs.mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: plain, RawPath: t.match}})
	r, ok := h.(*route)
	switch {
	case ok && method == http.MethodTrace, !ok && refusesMethod(h):
		return nil, t, ErrMethod.With("", method)
	case !ok:
		return nil, t, ErrUnlisted
	case t.forms&^r.Allow != 0:
		return nil, t, ErrPath.With("Allow of the route to name them", (t.forms &^ r.Allow).String())
	}
	return r, t, nil
}

// refusesMethod reports whether the answer of a ServeMux that has no handler is that of a wrong method.
func refusesMethod(h http.Handler) bool {
	w := statusOnly{header: http.Header{}}
	h.ServeHTTP(&w, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}})
	return w.status == http.StatusMethodNotAllowed
}

type statusOnly struct {
	header http.Header
	status int
}

func (w *statusOnly) Header() http.Header         { return w.header }
func (w *statusOnly) WriteHeader(status int)      { w.status = status }
func (w *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
