package main

import (
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// logout receives the provider's logout tokens (OpenID Connect Back-Channel Logout 1.0).
func (a *app) logout(store revocation.Store) (echo.HandlerFunc, error) {
	s := a.settings
	receiver, err := events.NewBackChannelLogout(events.BackChannelLogoutConfig{
		Provider: events.Provider{
			URL: s.Issuer.URL, JWKSURL: s.Issuer.JWKSURL, HTTPClient: s.Client(), Log: a.log,
		},
		Store: store, ClientIDs: s.LogoutClients, AcceptTypeJWT: s.Issuer.AcceptTypeJWT,
	})
	if err != nil {
		return nil, fmt.Errorf("logout tokens: %w", err)
	}
	a.onClose(receiver.Close)
	return echo.WrapHandler(receiver), nil
}
