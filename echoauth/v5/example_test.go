package echoauth_test

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth/v5"
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
	accounts.GET("", func(c *echo.Context) error {
		return c.JSON(http.StatusOK, echoauth.GrantFrom(c).Subject)
	}, auth.RequireScope("accounts:read"))
	accounts.POST("/transfer", func(c *echo.Context) error {
		return c.NoContent(http.StatusNoContent)
	}, auth.Require(access.Requirement{Scopes: []string{"payments:write"}, MaxAuthAge: 5 * time.Minute}))
	server := echo.StartConfig{Address: ":443"}
	log.Fatal(server.StartTLS(context.Background(), e, "cert.pem", "key.pem"))
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
