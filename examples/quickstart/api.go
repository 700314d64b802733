package main

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
)

// newAPI is the protected API, as you would write it. A request that reaches accounts or pay comes from the sender
// that its access token was issued to; everyone else has been refused: story.go plays who, and with which answer.
func newAPI(origin, issuer string, log *slog.Logger) (*echo.Echo, *access.Guard, error) {
	guard, err := access.New(access.Config{
		Origins: []string{origin},
		Issuers: []access.Issuer{{URL: issuer, Audience: origin}},
		Log:     log,
	})
	if err != nil {
		return nil, nil, err
	}
	auth := echoauth.New(guard)
	e := echo.New()
	api := e.Group("/accounts", auth.Authenticate())
	api.GET("", accounts, auth.RequireScope("accounts:read"))
	api.POST("", pay, auth.RequireScope("accounts:pay"))
	return e, guard, nil
}

func accounts(c echo.Context) error {
	grant := echoauth.GrantFrom(c) // never nil behind Authenticate
	return c.JSON(http.StatusOK, map[string]any{"owner": grant.Subject, "balance": 100})
}

func pay(c echo.Context) error {
	grant := echoauth.GrantFrom(c)
	return c.JSON(http.StatusCreated, map[string]any{"paid by": grant.Subject})
}
