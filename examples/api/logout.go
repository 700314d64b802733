package main

import (
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/revocation/events"
)

// logout receives the provider's logout tokens (OpenID Connect Back-Channel Logout 1.0).
func (a *app) logout(auth *echoauth.Auth) (echo.HandlerFunc, error) {
	s := a.settings
	receiver := &events.BackChannelLogout{
		Provider: events.Provider{
			URL: s.issuer.URL, JWKSURL: s.issuer.JWKSURL, HTTPClient: s.client(), Log: a.log,
		},
		ClientIDs: s.logoutClients, AcceptTypeJWT: s.issuer.AcceptTypeJWT,
	}
	handler, err := auth.BackChannelLogout(receiver)
	if err != nil {
		return nil, fmt.Errorf("logout tokens: %w", err)
	}
	a.onClose(receiver.Close)
	return handler, nil
}
