package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// api is the protected API, as you would write it, with what takes tokens back.
type api struct {
	*echo.Echo
	guard  *access.Guard
	auth   *echoauth.Auth
	issuer string
	// tokens knows which tokens were taken back, and which are in use. A program of yours uses revocation.Open, which
	// keeps both in a file, so that a restart gives nothing back.
	tokens *revocation.Memory
}

func newAPI(origin, issuer string, log *slog.Logger, provider *events.Transmitter) (*api, error) {
	tokens, err := revocation.NewMemory(revocation.Options{})
	if err != nil {
		return nil, err
	}
	stolen, err := onAlert(tokens, provider, log)
	if err != nil {
		return nil, err
	}
	guard, err := access.New(access.Config{
		OnAlert:    stolen,
		Origins:    []string{origin},
		Issuers:    []access.Issuer{{URL: issuer, Audience: origin}},
		Revocation: tokens,
		Register:   tokens,
		Log:        log,
	})
	if err != nil {
		return nil, err
	}
	auth := echoauth.New(guard)
	a := &api{Echo: echo.New(), guard: guard, auth: auth, issuer: issuer, tokens: tokens}
	a.routes(access.Requirement{ACRValues: []string{"mfa"}, MaxAuthAge: 5 * time.Minute}, access.Stream{})
	return a, nil
}

// onAlert ends the session whose token somebody other than its sender has, and tells the identity provider.
func onAlert(tokens revocation.Store, provider *events.Transmitter, log *slog.Logger) (func(context.Context, access.Alert), error) {
	takeBack, err := access.React{By: revocation.BySession, Store: tokens, Log: log}.OnAlert()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a access.Alert) {
		takeBack(ctx, a)
		if err := provider.Tell(events.ReportSession, a.Token, a.Time); err != nil {
			log.ErrorContext(ctx, "identity provider not told", "cause", err)
		}
	}, nil
}

// routes makes the routes. What a transfer wants is more than the rest: a second factor, not long ago.
func (a *api) routes(transfer access.Requirement, events access.Stream) {
	g := a.Group("", a.auth.Authenticate())
	g.GET("/accounts", a.accounts)
	g.POST("/password", a.changePassword)
	g.GET("/devices", a.devices)
	g.DELETE("/devices/:key", a.loseDevice)
	g.POST("/transfers", a.transfer, a.auth.Require(transfer))
	g.GET("/events", a.events, a.auth.Stream(events))
	g.POST("/logout", a.logout)
}

// close ends the API, when its server has stopped.
func (a *api) close() error { return errors.Join(a.guard.Close(), a.tokens.Close()) }

// lock is for the people who run the API: no token of this user is accepted any more.
func (a *api) lock(ctx context.Context, user string) error {
	return a.tokens.Revoke(ctx, revocation.Entry{Issuer: a.issuer, By: revocation.BySubject, Value: user})
}

// changePassword ends all sessions that began before, but for the one in which it is changed. The authorization server
// and this one share a clock; otherwise Before would be as much later as its clock may be ahead.
func (a *api) changePassword(c echo.Context) error {
	grant := echoauth.GrantFrom(c)
	err := a.tokens.Revoke(c.Request().Context(), revocation.Entry{
		Issuer: a.issuer, By: revocation.BySubject, Value: grant.Subject,
		Before: time.Now(), ExceptSession: grant.Session,
	})
	if err != nil {
		return err // nothing was taken back, so the password stays
	}
	return c.JSON(http.StatusOK, map[string]string{"changed": "the password of " + grant.Subject})
}

// devices lists what uses the account, the last used first.
func (a *api) devices(c echo.Context) error {
	type device struct {
		Key     string `json:"key"`
		Address string `json:"address"`
	}
	uses, err := a.tokens.Uses(c.Request().Context(), a.issuer, echoauth.GrantFrom(c).Subject)
	if err != nil {
		return err
	}
	list := []device{}
	for _, use := range uses {
		list = append(list, device{use.KeyThumbprint, use.Address})
	}
	return c.JSON(http.StatusOK, list)
}

// loseDevice takes back every token on the key of one of the user's devices.
func (a *api) loseDevice(c echo.Context) error {
	ctx, key := c.Request().Context(), c.Param("key")
	uses, err := a.tokens.Uses(ctx, a.issuer, echoauth.GrantFrom(c).Subject)
	if err != nil {
		return err
	}
	for _, use := range uses {
		if use.KeyThumbprint == key {
			if err := a.tokens.Revoke(ctx, revocation.Entry{Issuer: a.issuer, By: revocation.ByKey, Value: key}); err != nil {
				return err
			}
			return c.JSON(http.StatusOK, map[string]string{"lost": key})
		}
	}
	return echo.ErrNotFound
}

// logout ends this session.
func (a *api) logout(c echo.Context) error {
	err := a.tokens.Revoke(c.Request().Context(), revocation.Entry{
		Issuer: a.issuer, By: revocation.BySession, Value: echoauth.GrantFrom(c).Session,
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"logged out": echoauth.GrantFrom(c).Subject})
}

// events sends events for as long as its client may have them, and then says why it ends.
func (a *api) events(c echo.Context) error {
	ctx := c.Request().Context()
	c.Response().Header().Set(echo.HeaderContentType, "text/event-stream")
	fmt.Fprint(c.Response(), "data: your balance is 100\n\n")
	c.Response().Flush()
	<-ctx.Done() // your events would come here
	fmt.Fprintf(c.Response(), "event: end\ndata: %s\n\n", reason.Of(context.Cause(ctx)))
	return nil
}

func (a *api) accounts(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{"owner": echoauth.GrantFrom(c).Subject, "balance": 100})
}

func (a *api) transfer(c echo.Context) error {
	return c.JSON(http.StatusCreated, map[string]any{"sent by": echoauth.GrantFrom(c).Subject})
}
