package main

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/revocation"
)

const maxBody = "64K"

// routes is the API. What stands before auth.Authenticate is for everyone.
func (a *app) routes(guard *access.Guard, store revocation.Store) (*echo.Echo, error) {
	auth := echoauth.New(guard)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(a.lastAnswers, middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: a.panicked}))
	if a.settings.CORSOrigin != "" {
		// A preflight carries no credentials, so this stands in front of them.
		e.Use(middleware.CORSWithConfig(middleware.CORSConfig{
			AllowOrigins:  []string{a.settings.CORSOrigin},
			AllowMethods:  []string{http.MethodGet, http.MethodPost},
			AllowHeaders:  []string{"Authorization", "DPoP", "Content-Type"},
			ExposeHeaders: []string{"WWW-Authenticate", "DPoP-Nonce"},
			MaxAge:        int((10 * time.Minute).Seconds()),
		}))
	}
	e.Use(middleware.BodyLimit(maxBody))

	logout, err := a.logout(store)
	if err != nil {
		return nil, err
	}
	e.POST("/backchannel-logout", logout)
	if err := a.receiveEvents(e, store); err != nil {
		return nil, err
	}
	e.GET("/healthz", a.health)
	e.GET("/readyz", echo.WrapHandler(a.ready))
	if a.settings.Resources() != nil {
		auth.PublishMetadata(e)
	}

	api := e.Group("/api", auth.Authenticate())
	both := []string{http.MethodGet, http.MethodPost}
	api.Match(both, "/read", show, auth.RequireScope("read"))
	api.Match(both, "/write", show, auth.RequireScope("write"))
	api.GET("/items/:id", show, auth.RequireScope("read"))
	api.GET("/stepup", show, auth.Require(access.Requirement{
		Scopes: []string{"read"}, ACRValues: []string{"urn:interop:gold"}, MaxAuthAge: 300 * time.Second,
	}))
	return e, nil
}

// show tells who called. Put your own handlers in its place.
func show(c echo.Context) error {
	grant := echoauth.GrantFrom(c) // never nil behind Authenticate
	body := map[string]any{
		"subject": grant.Subject, "client": grant.ClientID, "binding": grant.Binding.String(), "scopes": grant.Scopes,
	}
	if id := c.Param("id"); id != "" {
		body["item"] = id
	}
	return c.JSON(http.StatusOK, body)
}

// health says whether new requests are welcome.
func (a *app) health(c echo.Context) error {
	if a.ending.Load() {
		return c.JSON(http.StatusServiceUnavailable, map[string]string{"status": "ending"})
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// lastAnswers asks clients to use other connections once this program is ending, so that none sends a request on one
// that is about to be closed.
func (a *app) lastAnswers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Before(func() {
			if a.ending.Load() {
				c.Response().Header().Set("Connection", "close")
			}
		})
		return next(c)
	}
}

func (a *app) panicked(c echo.Context, err error, stack []byte) error {
	a.log.ErrorContext(c.Request().Context(), "handler panicked",
		slog.Any("error", err), slog.String("route", c.Path()), slog.String("stack", string(stack)))
	return err
}
