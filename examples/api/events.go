package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/internal/settings"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

const minEventsSecret = 20

// eventSettings are how security events come. An empty audience means that none do.
type eventSettings struct {
	audience, issuer, secret string
	endpoint                 string        // where they are fetched; empty: they are pushed
	interval                 time.Duration // zero: the endpoint holds requests
}

func readEvents(r *settings.Reader) eventSettings {
	e := eventSettings{
		audience: r.Text("EVENTS_AUDIENCE", ""), issuer: r.URL("EVENTS_ISSUER"), secret: r.Text("EVENTS_SECRET", ""),
		endpoint: r.URL("EVENTS_POLL_ENDPOINT"), interval: r.Seconds("EVENTS_POLL_INTERVAL", 0, time.Second, 24*time.Hour),
	}
	for _, name := range []string{"EVENTS_ISSUER", "EVENTS_SECRET", "EVENTS_POLL_ENDPOINT"} {
		r.Needs(name, "EVENTS_AUDIENCE")
	}
	r.Needs("EVENTS_POLL_INTERVAL", "EVENTS_POLL_ENDPOINT")
	if e.secret != "" && len(e.secret) < minEventsSecret {
		r.Wrong("EVENTS_SECRET", fmt.Sprintf("set at least %d random characters: openssl rand -hex 32", minEventsSecret))
	}
	return e
}

// receiveEvents takes security events (OpenID Shared Signals Framework 1.0): pushed to a route, or fetched.
func (a *app) receiveEvents(e *echo.Echo, store revocation.Store) error {
	s := a.events
	if s.audience == "" {
		return nil
	}
	transmitter := events.Provider{URL: a.settings.Issuer.URL, JWKSURL: a.settings.Issuer.JWKSURL, HTTPClient: a.settings.Client(), Log: a.log}
	if s.issuer != "" && s.issuer != transmitter.URL {
		transmitter.URL, transmitter.TokenIssuer, transmitter.JWKSURL = s.issuer, transmitter.URL, ""
	}
	config := events.SharedSignalsConfig{Provider: transmitter, Audiences: []string{s.audience}, Store: store}
	if s.secret != "" {
		config.Authorization = "Bearer " + s.secret
	}
	receiver, err := events.NewSharedSignals(config)
	if err != nil {
		return fmt.Errorf("security events: %w", err)
	}
	a.onClose(receiver.Close)
	if s.endpoint == "" {
		e.Add(http.MethodPost, "/events", echo.WrapHandler(receiver))
		return nil
	}
	poller := events.PollerConfig{Receiver: receiver, Endpoint: s.endpoint, Interval: s.interval, HTTPClient: a.settings.Client()}
	if s.secret != "" { // for one that expires, return what an oauth2.TokenSource of client credentials has
		poller.AccessToken = func(context.Context) (string, error) { return s.secret, nil }
	}
	p, err := events.NewPoller(poller)
	if err != nil {
		return fmt.Errorf("security events: %w", err)
	}
	a.onClose(p.Close)
	return nil
}
