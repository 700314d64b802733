package echoauth

import (
	"context"
	"errors"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
)

// grantKey is where an echo.Context holds the grant.
const grantKey = "github.com/senderlock/senderlock/echoauth"

// Auth is the middleware of one API. It is safe for concurrent use. Make it with [New] and close it when the
// server has stopped.
type Auth struct {
	guard   *access.Guard
	deny    func(echo.Context, *access.Error) error
	tell    teller
	closers []func() error

	mu     sync.Mutex
	scopes []string // that routes require, sorted
}

// granted is what a context holds.
type granted struct {
	by    *Auth
	grant *access.Grant
	told  bool // the decision has been
}

// Close ends background work and releases memory. Call it when the server has stopped: later requests are
// refused. It may be called more than once.
func (a *Auth) Close() error {
	var all []error
	for _, closer := range a.closers {
		all = append(all, closer())
	}
	return errors.Join(all...)
}

// Authenticate lets a request pass only with an access token that is valid and was issued to its sender; the
// handler finds the rest in [GrantFrom]. A request that it has accepted once, on an outer group, is not judged
// again. CORS middleware belongs in front of it, since a preflight carries no credentials.
func (a *Auth) Authenticate() echo.MiddlewareFunc {
	return a.demand(func(*access.Grant) error { return nil })
}

// RequireScope lets a request pass only if its token has all of the scopes; otherwise 403 insufficient_scope. It
// panics on a scope that no token can have.
func (a *Auth) RequireScope(scopes ...string) echo.MiddlewareFunc {
	return a.Require(access.Requirement{Scopes: scopes})
}

// Require lets a request pass only if it meets the demand of its route. Without [Auth.Authenticate] in front it
// authenticates first, so a route that requires something is never open. It panics on a wrong requirement, since
// routes are made when a program starts.
func (a *Auth) Require(q access.Requirement) echo.MiddlewareFunc {
	if err := q.Validate(); err != nil {
		panic("echoauth: " + err.Error())
	}
	a.collect(q.Scopes)
	return a.demand(func(grant *access.Grant) error { return a.guard.Allow(grant, q) })
}

// demand lets a request pass that is authenticated, here or before, and allowed. The decision about it is complete when
// it is refused, or else when an answer begins, since a middleware further in may still refuse.
func (a *Auth) demand(allow func(*access.Grant) error) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			held, err := a.authenticate(c)
			if err == nil {
				err = allow(held.grant)
			}
			if err != nil {
				return a.refuse(c, held, err)
			}
			defer a.tell.accepted(c, held) // unless an answer has begun
			return next(c)
		}
	}
}

// Stream is for routes whose responses go on for long: server-sent events, WebSockets, long polls. It ends the
// context of the request as soon as another request with its token would be refused, because the token expired or
// was taken back; [access.Guard.Watch] says when exactly, and what [context.Cause] gives then. The handler has to
// heed c.Request().Context(). If it returns the context's error without having answered, the client gets the
// refusal. Without [Auth.Authenticate] in front it authenticates first. It panics on a wrong setting.
func (a *Auth) Stream(s access.Stream) echo.MiddlewareFunc {
	if err := s.Validate(); err != nil {
		panic("echoauth: " + err.Error())
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			held, err := a.authenticate(c)
			if err != nil {
				return a.refuse(c, held, err)
			}
			ctx, cancel := a.guard.Watch(c.Request(), held.grant, s)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			defer a.tell.accepted(c, held)
			return a.ended(c, held, next(c))
		}
	}
}

// ended looks at how a long-lived response came to its end.
func (a *Auth) ended(c echo.Context, held *granted, err error) error {
	ctx := c.Request().Context()
	e, cut := errors.AsType[*access.Error](context.Cause(ctx))
	switch {
	case !cut:
		return err
	case errors.Is(err, ctx.Err()) && !c.Response().Committed:
		return a.refuse(c, held, e)
	}
	a.tell.ended(c, held, e)
	return err
}

// GrantFrom returns who is calling and what for. It is never nil behind [Auth.Authenticate] or [Auth.Require],
// and nil elsewhere.
func GrantFrom(c echo.Context) *access.Grant {
	if held, ok := c.Get(grantKey).(*granted); ok {
		return held.grant
	}
	return nil
}

// SetGrant makes [GrantFrom] return a grant, so that a test can call a handler without the middleware, a token and a
// proof. It opens no route: [Auth.Authenticate] and [Auth.Require] judge each request themselves, and what they find
// takes its place.
func SetGrant(c echo.Context, grant *access.Grant) { c.Set(grantKey, &granted{grant: grant}) }

// authenticate judges the request, once. What it returns is never nil.
func (a *Auth) authenticate(c echo.Context) (*granted, error) {
	if held, ok := c.Get(grantKey).(*granted); ok && held.by == a {
		return held, nil
	}
	held := &granted{by: a}
	var err error
	if held.grant, err = a.guard.Authenticate(c.Request()); err != nil {
		return held, err
	}
	c.Set(grantKey, held)
	if held.grant.Nonce != "" || a.tell.hearsAccepted(c.Request().Context()) {
		// Before the answer goes out: so a handler's own Cache-Control does not let a nonce be stored, and the
		// decision about a response that lasts for hours is told when it begins.
		c.Response().Before(func() {
			held.grant.SetHeaders(c.Response().Header())
			a.tell.accepted(c, held)
		})
	}
	return held, nil
}

// refuse answers a refusal. Whatever happens in here, the handler does not run.
func (a *Auth) refuse(c echo.Context, held *granted, err error) error {
	held.told = true
	d := access.NewDecision(c.Request(), c.Path(), held.grant, err)
	a.tell.decided(c.Request().Context(), d)
	e := d.Refusal
	e.SetHeaders(c.Response().Header())
	if a.deny != nil {
		if err := a.deny(c, e); err != nil || c.Response().Committed {
			return err
		}
	}
	answer := echo.NewHTTPError(e.Status, e.Description)
	if c.Echo().Debug {
		return answer.SetInternal(untold{e})
	}
	return answer.SetInternal(e)
}

// untold keeps Echo's own error handler from telling clients causes, with what they sent, when Echo.Debug is set.
type untold struct{ refusal *access.Error }

func (u untold) Error() string { return u.refusal.Description }
func (u untold) Unwrap() error { return u.refusal }
