package echoauth_test

import (
	"log"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// A whole server. Origins and Issuers are enough for a safe one.
func Example() {
	guard, err := access.New(access.Config{
		Origins: []string{"https://api.example.com"},
		Issuers: []access.Issuer{{URL: "https://login.example.com", Audience: "https://api.example.com"}},
	})
	if err != nil {
		log.Fatal(err) // names the field and what to put there
	}
	defer guard.Close()
	auth := echoauth.New(guard)

	e := echo.New()
	accounts := e.Group("/accounts", auth.Authenticate())
	accounts.GET("", func(c echo.Context) error {
		return c.JSON(http.StatusOK, echoauth.GrantFrom(c).Subject)
	}, auth.RequireScope("accounts:read"))
	accounts.POST("/transfer", func(c echo.Context) error {
		return c.NoContent(http.StatusNoContent)
	}, auth.Require(access.Requirement{Scopes: []string{"payments:write"}, MaxAuthAge: 5 * time.Minute}))
	log.Fatal(e.StartTLS(":443", "cert.pem", "key.pem"))
}

// Middleware that rewrites requests in front of the router needs Capture in front of it.
func ExampleAuth_Capture() {
	guard, err := access.New(access.Config{
		Origins: []string{"https://api.example.com"},
		Issuers: []access.Issuer{{URL: "https://login.example.com", Audience: "https://api.example.com"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	auth := echoauth.New(guard)

	e := echo.New()
	e.Pre(auth.Capture(), middleware.RemoveTrailingSlash())
	e.Use(auth.Authenticate())
}

// What an identity provider reports is received on a route of its own, in front of which nothing authenticates, and is
// put into the store that the Guard asks.
func Example_logout() {
	store, err := revocation.Open("revocations.db", revocation.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	guard, err := access.New(access.Config{
		Origins:    []string{"https://api.example.com"},
		Issuers:    []access.Issuer{{URL: "https://login.example.com", Audience: "https://api.example.com"}},
		Revocation: store,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	logout, err := events.NewBackChannelLogout(events.BackChannelLogoutConfig{
		Provider:  events.Provider{URL: "https://login.example.com"},
		ClientIDs: []string{"client-1"},
		Store:     store,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer logout.Close()

	e := echo.New()
	e.POST("/backchannel-logout", echo.WrapHandler(logout))
	e.Group("/accounts", echoauth.New(guard).Authenticate())
}
