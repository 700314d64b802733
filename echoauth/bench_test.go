package echoauth_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/echoauth/internal/echotest"
	"github.com/senderlock/senderlock/internal/speed"
)

func BenchmarkRequest(b *testing.B) {
	echotest.BenchmarkRequest(b, func(guard *access.Guard) http.Handler {
		e, auth := echo.New(), echoauth.New(guard)
		e.GET("/accounts", func(c echo.Context) error {
			if echoauth.GrantFrom(c).Subject == "" {
				return echo.ErrTeapot
			}
			return c.NoContent(http.StatusOK)
		}, auth.Authenticate(), auth.RequireScope("accounts:read"))
		return e
	})
}

func TestSpeedTable(t *testing.T) { speed.Runs(t, "..", "echoauth") }
