package echoauth

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/senderlock/senderlock/access"
)

// Auth is a Guard as middleware of Echo. It is safe for concurrent use. The Guard is the caller's to close.
type Auth struct {
	// Skipper lets requests pass [Auth.Authenticate] unjudged, as Echo's own middleware has it; [GrantFrom] is nil then.
	// It does not skip what routes require by Require, RequireScope or Stream. Nil skips nothing. Set it before
	// Authenticate is called.
	Skipper middleware.Skipper

	guard *access.Guard
}

// New makes the middleware of a Guard. It panics on a nil Guard.
func New(guard *access.Guard) *Auth {
	if guard == nil {
		panic("echoauth: the Guard is nil: make one with access.New")
	}
	return &Auth{guard: guard}
}

// Capture remembers method and target as they came over the wire. It belongs first on [echo.Echo.Pre], in front of
// middleware that rewrites them, such as AddTrailingSlash, Rewrite and MethodOverride: see [access.Capture].
func (a *Auth) Capture() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			*r = *access.Captured(r) // in place: Echo's router goes by the request that it was given
			return next(c)
		}
	}
}

// Authenticate lets a request pass only with an access token that is valid and was issued to its sender; the
// handler finds the rest in [GrantFrom]. A request that it has accepted once, on an outer group, is not judged
// again. CORS middleware belongs in front of it, since a preflight carries no credentials.
func (a *Auth) Authenticate() echo.MiddlewareFunc {
	protect := a.serve(a.guard.Route())
	skip := a.Skipper
	if skip == nil {
		return protect
	}
	a.guard.Logger().Warn("requests for which the Skipper says so pass Authenticate unjudged")
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		protected := protect(next)
		return func(c echo.Context) error {
			if skip(c) {
				return next(c)
			}
			return protected(c)
		}
	}
}

// RequireScope lets a request pass only if its token has all of the scopes; otherwise 403 insufficient_scope. It
// panics without scopes, and on a scope that no token can have.
func (a *Auth) RequireScope(scopes ...string) echo.MiddlewareFunc {
	if len(scopes) == 0 {
		panic("echoauth: RequireScope without scopes: name at least one")
	}
	return a.Require(access.Requirement{Scopes: scopes})
}

// Require lets a request pass only if it meets the demand of its route. Without [Auth.Authenticate] in front it
// authenticates first, so a route that requires something is never open. It panics on a wrong requirement, since
// routes are made when a program starts.
func (a *Auth) Require(q access.Requirement) echo.MiddlewareFunc { return a.serve(a.guard.Route(q)) }

// Stream is for routes whose responses go on for long: see [access.Guard.Stream]. The handler has to heed
// c.Request().Context(). If it returns without having answered, or with the context's error, the client gets the refusal.
// Without [Auth.Authenticate] in front it authenticates first. It panics on a wrong setting.
func (a *Auth) Stream(s access.Stream) echo.MiddlewareFunc { return a.serve(a.guard.StreamRoute(s)) }

// PublishMetadata serves what the API says of itself, to everyone: see [access.Guard.MetadataHandler]. It panics without
// [access.Config.Resources].
func (a *Auth) PublishMetadata(e *echo.Echo) {
	paths := a.guard.MetadataPaths()
	if len(paths) == 0 {
		panic("echoauth: PublishMetadata without access.Config.Resources: say there what to publish")
	}
	for _, path := range paths {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, echo.WrapHandler(a.guard.MetadataHandler()))
	}
}

// GrantFrom returns who is calling and what for. It is never nil behind [Auth.Require], nor behind [Auth.Authenticate]
// that skips nothing, and nil elsewhere.
func GrantFrom(c echo.Context) *access.Grant { return access.GrantFrom(c.Request().Context()) }

// SetGrant makes [GrantFrom] return a grant, so that a test can call a handler without the middleware, a token and a
// proof. It opens no route: see [access.WithGrant].
func SetGrant(c echo.Context, grant *access.Grant) {
	c.SetRequest(c.Request().WithContext(access.WithGrant(c.Request().Context(), grant)))
}

// serve is every middleware of this package.
func (a *Auth) serve(route *access.Route, err error) echo.MiddlewareFunc {
	if err != nil {
		panic("echoauth: " + err.Error())
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			return route.Serve(access.Passage{
				Writer: c.Response().Writer, RefusalWriter: c.Response(), Request: c.Request(), Pattern: c.Path(),
			}, func(w http.ResponseWriter, r *http.Request) error {
				c.SetRequest(r)
				c.Response().Writer = w
				return next(c)
			}, func(e *access.Error, now bool) error {
				err := refusal(c, e)
				if now {
					c.Error(err)
				}
				return err
			})
		}
	}
}

// refusal is what Echo's error handler answers.
func refusal(c echo.Context, e *access.Error) error {
	answer := &echo.HTTPError{Code: e.Status, Message: e.Description, Internal: e}
	if c.Echo().Debug {
		answer.Internal = untold{e}
	}
	return answer
}

// untold keeps Echo's own error handler from telling clients causes, with what they sent, when Echo.Debug is set.
type untold struct{ refusal *access.Error }

func (u untold) Error() string { return u.refusal.Description }
func (u untold) Unwrap() error { return u.refusal }
