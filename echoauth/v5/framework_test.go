package echoauth_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth/internal/echotest"
	"github.com/senderlock/senderlock/echoauth/v5"
)

func TestEcho(t *testing.T) { echotest.Run(t, framework{}) }

// framework is Echo 5.
type framework struct{}

func (framework) New() echotest.Server {
	e := echo.New()
	return &server{e, router{e}}
}

func (framework) Auth(guard *access.Guard, skip func(echotest.Context) bool) echotest.Auth {
	auth := echoauth.New(guard)
	if skip != nil {
		auth.Skipper = func(c *echo.Context) bool { return skip(echoContext{c}) }
	}
	return adapter{auth}
}

func (framework) Around(f func(echotest.Context, func() error) error) echotest.Middleware {
	return echo.MiddlewareFunc(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error { return f(echoContext{c}, func() error { return next(c) }) }
	})
}

func (framework) Context(w http.ResponseWriter, r *http.Request) echotest.Context {
	return echoContext{echo.New().NewContext(r, w)}
}

func (framework) Error(status int) error { return echo.NewHTTPError(status, http.StatusText(status)) }

func (framework) AddTrailingSlash() echotest.Middleware    { return middleware.AddTrailingSlash() }
func (framework) RemoveTrailingSlash() echotest.Middleware { return middleware.RemoveTrailingSlash() }
func (framework) MethodOverride() echotest.Middleware      { return middleware.MethodOverride() }
func (framework) Rewrite(rules map[string]string) echotest.Middleware {
	return middleware.Rewrite(rules)
}

func (framework) CORS(origin string, allow, expose []string) echotest.Middleware {
	return middleware.CORSWithConfig(middleware.CORSConfig{AllowOrigins: []string{origin}, AllowHeaders: allow, ExposeHeaders: expose})
}

type echoContext struct{ *echo.Context }

func (c echoContext) Raw() http.ResponseWriter     { return c.response().ResponseWriter }
func (c echoContext) Status() (int, bool)          { return c.response().Status, c.response().Committed }
func (c echoContext) Grant() *access.Grant         { return echoauth.GrantFrom(c.Context) }
func (c echoContext) SetGrant(grant *access.Grant) { echoauth.SetGrant(c.Context, grant) }

// response is the framework's, whatever it is wrapped in.
func (c echoContext) response() *echo.Response {
	response, err := echo.UnwrapResponse(c.Response())
	if err != nil {
		panic(err)
	}
	return response
}

func handler(h echotest.Handler) echo.HandlerFunc {
	return func(c *echo.Context) error { return h(echoContext{c}) }
}

func middlewares(list []echotest.Middleware) (all []echo.MiddlewareFunc) {
	for _, m := range list {
		all = append(all, m.(echo.MiddlewareFunc))
	}
	return all
}

// routes is what a server and a group have in common.
type routes interface {
	Add(method, path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) echo.RouteInfo
	Any(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) echo.RouteInfo
	Group(prefix string, m ...echo.MiddlewareFunc) *echo.Group
}

type router struct{ routes }

func (r router) Handle(method, path string, h echotest.Handler, m ...echotest.Middleware) {
	if method == "" {
		r.Any(path, handler(h), middlewares(m)...)
		return
	}
	r.Add(method, path, handler(h), middlewares(m)...)
}

func (r router) Mount(method, path string, h http.Handler) { r.Add(method, path, echo.WrapHandler(h)) }

func (r router) Group(prefix string, m ...echotest.Middleware) echotest.Router {
	return router{r.routes.Group(prefix, middlewares(m)...)}
}

type server struct {
	echo *echo.Echo
	router
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }
func (s *server) Pre(m ...echotest.Middleware)                     { s.echo.Pre(middlewares(m)...) }
func (s *server) Use(m ...echotest.Middleware)                     { s.echo.Use(middlewares(m)...) }

func (s *server) OnError(f func(c echotest.Context, err error, usual func())) {
	s.echo.HTTPErrorHandler = func(c *echo.Context, err error) {
		f(echoContext{c}, err, func() { echo.DefaultHTTPErrorHandler(false)(c, err) })
	}
}

type adapter struct{ *echoauth.Auth }

func (a adapter) Capture() echotest.Middleware                     { return a.Auth.Capture() }
func (a adapter) Authenticate() echotest.Middleware                { return a.Auth.Authenticate() }
func (a adapter) RequireScope(s ...string) echotest.Middleware     { return a.Auth.RequireScope(s...) }
func (a adapter) Require(q access.Requirement) echotest.Middleware { return a.Auth.Require(q) }
func (a adapter) Stream(s access.Stream) echotest.Middleware       { return a.Auth.Stream(s) }
func (a adapter) PublishMetadata(s echotest.Server)                { a.Auth.PublishMetadata(s.(*server).echo) }
