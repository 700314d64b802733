package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/examples/authserver"
)

// The user of the development authorization server.
const (
	demoUser     = "alice"
	demoPassword = "wonderland"
)

// startDemo starts an authorization server and an API on free ports of this machine, and notes in the options where
// they are.
func startDemo(o *options, log *slog.Logger) (stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o.api, o.secret, o.legs = "http://"+listener.Addr().String(), "not a secret", &legs{}
	as, err := authserver.Start(authserver.Config{
		Audiences: []string{o.api}, RequireNonce: true,
		Users: []authserver.User{{Name: demoUser, Password: demoPassword}},
		Clients: []authserver.Client{{
			ID: o.client, Secret: o.secret, RedirectURIs: []string{o.public + "/callback"},
			Scopes: []string{"accounts:read", "accounts:pay"},
		}},
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	o.issuer = as.Issuer()
	e, guard, err := newAPI(o.api, o.issuer, log)
	if err != nil {
		return nil, errors.Join(err, as.Close(), listener.Close())
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // until stop
	return func() { _ = errors.Join(server.Close(), guard.Close(), as.Close()) }, nil
}

// newAPI is an API as in the quickstart. It knows nothing of the token handler.
func newAPI(origin, issuer string, log *slog.Logger) (*echo.Echo, *access.Guard, error) {
	guard, err := access.New(access.Config{
		Origins: []string{origin}, Issuers: []access.Issuer{{URL: issuer, Audience: origin}}, RequireNonce: true,
		Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	auth := echoauth.New(guard)
	e := echo.New()
	accounts := e.Group("/accounts", auth.Authenticate())
	accounts.GET("", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]any{"owner": echoauth.GrantFrom(c).Subject, "balance": 100})
	}, auth.RequireScope("accounts:read"))
	accounts.POST("", func(c echo.Context) error {
		amount, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusCreated, map[string]string{"paid by": echoauth.GrantFrom(c).Subject, "amount": string(amount)})
	}, auth.RequireScope("accounts:pay"))
	// Whoever closes an account has logged in a moment ago.
	accounts.DELETE("", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) },
		auth.Require(access.Requirement{MaxAuthAge: 10 * time.Second}))
	return e, guard, nil
}
