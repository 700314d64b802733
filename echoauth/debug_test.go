package echoauth_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/echoauth/internal/echotest"
	"github.com/senderlock/senderlock/reason"
)

// Echo's debug mode tells clients errors in full. Ours hold what a client sent, and stay inside.
func TestDebugTellsNoCause(t *testing.T) {
	e := echo.New()
	e.Debug = true
	e.GET("/accounts", unreached, echoauth.New(echotest.NewGuard(t)).Authenticate())
	w := httptest.NewRecorder()
	e.ServeHTTP(w, echotest.Hostile())
	if w.Code != 401 || !strings.Contains(w.Body.String(), "htu is not the URI of the request") || strings.Contains(w.Body.String(), "hostile") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var got error
	e.HTTPErrorHandler = func(err error, _ echo.Context) { got = err }
	e.ServeHTTP(httptest.NewRecorder(), echotest.Hostile())
	if !errors.Is(got, dpop.ErrTarget) || reason.Of(got) != "htu_mismatch" {
		t.Errorf("a handler of one's own got %v", got)
	}
}

// Without it, what Echo wraps is the refusal itself.
func TestInternalErrorIsTheRefusal(t *testing.T) {
	e := echo.New()
	e.GET("/accounts", unreached, echoauth.New(echotest.NewGuard(t)).Authenticate())
	var refusal *access.Error
	e.HTTPErrorHandler = func(err error, _ echo.Context) { refusal, _ = err.(*echo.HTTPError).Internal.(*access.Error) }
	if e.ServeHTTP(httptest.NewRecorder(), echotest.Hostile()); refusal.Reason() != "htu_mismatch" {
		t.Errorf("refusal %v", refusal)
	}
}

func unreached(echo.Context) error { panic("the handler ran") }
