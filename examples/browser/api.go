package main

import (
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
)

type apiMaker func(at origins, decisions *decisions, log io.Writer) (*api, error)

// api is the protected API, as you would write it for pages of another origin.
type api struct {
	*echo.Echo
	guard *access.Guard
	calls atomic.Int64 // that reached the handler
}

func newAPI(at origins, decisions *decisions, log io.Writer) (*api, error) {
	return protect(at, decisions, access.Config{
		Origins:      []string{at.api},
		Issuers:      []access.Issuer{{URL: at.issuer, Audience: at.api}},
		RequireNonce: true,
		Observer:     access.Observer{Decided: decisions.keep},
		Log:          slog.New(slog.NewTextHandler(log, nil)),
	})
}

// protect makes the routes. CORS comes first: a preflight carries no credentials, and a refusal that the page may not
// read would tell it neither the code nor the nonce.
func protect(at origins, decisions *decisions, config access.Config) (*api, error) {
	guard, err := access.New(config)
	if err != nil {
		return nil, err
	}
	auth := echoauth.New(guard)
	a := &api{Echo: echo.New(), guard: guard}
	a.Use(middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:  []string{at.page}, // never "*": only this page is to read the answers
		AllowMethods:  []string{http.MethodGet},
		AllowHeaders:  []string{"Authorization", "DPoP"},
		ExposeHeaders: []string{"WWW-Authenticate", "DPoP-Nonce", requestIDField},
		MaxAge:        int((10 * time.Minute).Seconds()),
	}))
	a.Use(decisions.number) // for the demo alone
	a.GET("/accounts", a.accounts, auth.Authenticate(), auth.RequireScope(scope))
	return a, nil
}

func (a *api) accounts(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{
		"owner": echoauth.GrantFrom(c).Subject, "balance": 100, "calls": a.calls.Add(1),
	})
}
