package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/reason"
)

type apiMaker func(at origins, decisions *decisions, log io.Writer) (*api, error)

// api is the protected API, as you would write it for pages of another origin.
type api struct {
	*echo.Echo
	guard *access.Guard
	calls atomic.Int64 // that reached the handler
	opens atomic.Int64 // of the events and the sockets
	page  string
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
	a := &api{Echo: echo.New(), guard: guard, page: at.page}
	a.Use(middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:  []string{at.page}, // never "*": only this page is to read the answers
		AllowMethods:  []string{http.MethodGet, http.MethodPost},
		AllowHeaders:  []string{"Authorization", "DPoP"},
		ExposeHeaders: []string{"WWW-Authenticate", "DPoP-Nonce", requestIDField},
		MaxAge:        int((10 * time.Minute).Seconds()),
	}))
	a.Use(decisions.number) // for the demo alone
	a.GET("/accounts", a.accounts, auth.Authenticate(), auth.RequireScope(scope))

	// An EventSource and a WebSocket can set neither Authorization nor DPoP, so the page asks for a ticket first.
	tickets, err := guard.Tickets(access.TicketsConfig{})
	if err != nil {
		return nil, err
	}
	need := access.Requirement{Scopes: []string{scope}}
	a.POST("/tickets", echo.WrapHandler(tickets.Issue(need)))
	a.GET("/events", echo.WrapHandler(tickets.Stream(http.HandlerFunc(a.events), access.Stream{}, need)))
	a.GET("/socket", echo.WrapHandler(tickets.Stream(http.HandlerFunc(a.socket), access.Stream{}, need)))
	return a, nil
}

// events sends the balance, and then waits for as long as its client may have more.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	a.opens.Add(1)
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: the balance of %s is 100\n\n", access.GrantFrom(r.Context()).Subject)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done() // your events would come here
}

// socket does the same on a WebSocket, and tells its client why there is no more.
func (a *api) socket(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{a.page}})
	if err != nil {
		return // it has answered
	}
	defer socket.CloseNow()
	a.opens.Add(1)
	gone := socket.CloseRead(context.WithoutCancel(r.Context()))
	hello := fmt.Sprintf("the balance of %s is 100", access.GrantFrom(r.Context()).Subject)
	if err := socket.Write(r.Context(), websocket.MessageText, []byte(hello)); err != nil {
		return
	}
	select {
	case <-gone.Done():
	case <-r.Context().Done():
		_ = socket.Close(websocket.StatusPolicyViolation, reason.Of(context.Cause(r.Context())))
	}
}

func (a *api) accounts(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{
		"owner": echoauth.GrantFrom(c).Subject, "balance": 100, "calls": a.calls.Add(1),
	})
}
