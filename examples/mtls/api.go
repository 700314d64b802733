package main

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/mtls"
)

// newAPI is the protected API, as you would write it. Certificates is what makes it accept tokens that are bound to a
// client certificate: mtls.FromTLS, or a source of mtls.FromProxy where a proxy ends TLS. Reading takes the
// certificate, paying takes a proof of the client's DPoP key as well.
func newAPI(origin string, issuer access.Issuer, certificates mtls.CertificateSource, log *slog.Logger) (*echo.Echo, *access.Guard, error) {
	guard, err := access.New(access.Config{
		Origins:      []string{origin},
		Issuers:      []access.Issuer{issuer},
		Certificates: certificates,
		RequireNonce: true, // no proof can be made in advance
		Log:          log,
	})
	if err != nil {
		return nil, nil, err
	}
	auth := echoauth.New(guard)
	e := echo.New()
	api := e.Group("/accounts", auth.Authenticate())
	api.GET("", accounts, auth.Require(access.Requirement{
		Scopes: []string{"accounts:read"}, Binding: access.BindingCertificate,
	}))
	api.POST("", pay, auth.Require(access.Requirement{
		Scopes: []string{"accounts:pay"}, Binding: access.BindingCertificate | access.BindingDPoP,
	}))
	return e, guard, nil
}

func accounts(c echo.Context) error {
	grant := echoauth.GrantFrom(c) // never nil behind Authenticate
	return c.JSON(http.StatusOK, map[string]any{"owner": grant.Subject, "balance": 100})
}

func pay(c echo.Context) error {
	grant := echoauth.GrantFrom(c)
	return c.JSON(http.StatusCreated, map[string]any{"paid by": grant.Subject, "proved by": grant.Binding.String()})
}
