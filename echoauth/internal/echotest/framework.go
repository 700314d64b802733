package echotest

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
)

// Framework is one version of Echo with its adapter.
type Framework interface {
	// New makes a server with the usual settings.
	New() Server
	// Auth makes the middleware of a Guard. Nil skips nothing.
	Auth(guard *access.Guard, skip func(Context) bool) Auth
	// Around makes a middleware of a function.
	Around(func(c Context, next func() error) error) Middleware
	// Context is that of a request for which there is no server.
	Context(http.ResponseWriter, *http.Request) Context
	// Error is the framework's own error of a status.
	Error(status int) error

	// The framework's own middleware.
	AddTrailingSlash() Middleware
	RemoveTrailingSlash() Middleware
	Rewrite(rules map[string]string) Middleware
	MethodOverride() Middleware
	CORS(origin string, allow, expose []string) Middleware
}

// Middleware is the MiddlewareFunc of a version.
type Middleware any

// Handler answers a request.
type Handler func(Context) error

// Context is what the two versions of Echo have in common, and what an adapter adds.
type Context interface {
	Request() *http.Request
	Response() http.ResponseWriter
	Param(name string) string
	QueryParam(name string) string
	JSON(status int, body any) error
	String(status int, body string) error
	NoContent(status int) error
	Redirect(status int, url string) error
	Stream(status int, contentType string, body io.Reader) error

	// Raw is the writer under that of the framework.
	Raw() http.ResponseWriter
	// Status is what access logs see, and whether the answer is known to have begun.
	Status() (status int, committed bool)
	Grant() *access.Grant
	SetGrant(*access.Grant)
}

// Server is an instance of Echo. A method that is empty stands for all.
type Server interface {
	http.Handler
	Router
	Pre(...Middleware)
	Use(...Middleware)
	// OnError takes the place of the error handler, which it is given.
	OnError(func(c Context, err error, usual func()))
}

// Router is a server or a group of its routes.
type Router interface {
	Handle(method, path string, h Handler, m ...Middleware)
	Mount(method, path string, h http.Handler)
	Group(prefix string, m ...Middleware) Router
}

// Auth is the adapter.
type Auth interface {
	Capture() Middleware
	Authenticate() Middleware
	RequireScope(scopes ...string) Middleware
	Require(access.Requirement) Middleware
	Stream(access.Stream) Middleware
	PublishMetadata(Server)
}

// suite has the tests as methods.
type suite struct{ Framework }

// Run runs every test.
func Run(t *testing.T, f Framework) {
	tests := reflect.ValueOf(suite{f})
	for method, test := range tests.Methods() {
		if name, ok := strings.CutPrefix(method.Name, "Test"); ok {
			t.Run(name, test.Interface().(func(*testing.T)))
		}
	}
}
