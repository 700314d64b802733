package echoauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/echoauth/internal/echotest"
	"github.com/senderlock/senderlock/echoauth/v5"
	"github.com/senderlock/senderlock/reason"
)

// Echo's error handler can be told to tell clients errors in full. Ours hold what a client sent, and stay inside.
func TestExposedErrorsTellNoCause(t *testing.T) {
	e := echo.New()
	e.HTTPErrorHandler = echo.DefaultHTTPErrorHandler(true)
	e.GET("/accounts", unreached, echoauth.New(echotest.NewGuard(t)).Authenticate())
	w := httptest.NewRecorder()
	e.ServeHTTP(w, echotest.Hostile())
	if w.Code != 401 || !strings.Contains(w.Body.String(), "htu is not the URI of the request") || strings.Contains(w.Body.String(), "hostile") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var got error
	e.HTTPErrorHandler = func(_ *echo.Context, err error) { got = err }
	e.ServeHTTP(httptest.NewRecorder(), echotest.Hostile())
	if !errors.Is(got, dpop.ErrTarget) || reason.Of(got) != "htu_mismatch" {
		t.Errorf("a handler of one's own got %v", got)
	}
}

// A response writer of which Echo's own is not to be found cannot be looked after: the request goes nowhere.
func TestHiddenResponse(t *testing.T) {
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			c.SetResponse(struct{ http.ResponseWriter }{c.Response()})
			return next(c)
		}
	})
	e.GET("/accounts", unreached, echoauth.New(echotest.NewGuard(t)).Authenticate())
	w := httptest.NewRecorder()
	if e.ServeHTTP(w, echotest.Owner()); w.Code != 500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func unreached(*echo.Context) error { panic("the handler ran") }
