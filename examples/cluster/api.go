package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// settings are those of one process of the API. All but the name are the same for all.
type settings struct {
	name, origin, issuer, redis string
}

// secretEnv holds the secret that all processes share, so that each accepts the nonces of the others. To rotate it, see
// dpop.Nonces.
const secretEnv = "CLUSTER_NONCE_SECRET"

// newAPI is the protected API, as you would write it for many instances. Where there are several regions, nonces name
// this one.
func newAPI(s settings, store *redisstore.Store, region string, log *slog.Logger) (*echo.Echo, *access.Guard, error) {
	guard, err := access.New(access.Config{
		Origins: []string{s.origin},
		Issuers: []access.Issuer{{URL: s.issuer, Audience: s.origin}},
		Skew:    time.Second, // short, so that the story need not wait; ten seconds is usual

		Shared: store, // a proof is accepted by one of the instances; a token that is taken back at one is refused by all
		Nonces: dpop.Nonces{Secrets: [][]byte{[]byte(os.Getenv(secretEnv))}, Region: region},
		Log:    log,
	})
	if err != nil {
		return nil, nil, err
	}
	auth := echoauth.New(guard)
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Header().Set("Instance", s.name)
			return next(c)
		}
	})
	api := e.Group("/accounts", auth.Authenticate())
	api.GET("", accounts)
	api.DELETE("/session", signOut(store))
	return e, guard, nil
}

func accounts(c echo.Context) error {
	grant := echoauth.GrantFrom(c) // never nil behind Authenticate
	return c.JSON(http.StatusOK, map[string]any{"owner": grant.Subject, "balance": 100})
}

// signOut takes every token of the caller back that was issued up to now.
func signOut(store revocation.Store) echo.HandlerFunc {
	return func(c echo.Context) error {
		grant := echoauth.GrantFrom(c)
		err := store.Revoke(c.Request().Context(), revocation.Entry{
			Issuer: grant.Issuer, By: revocation.BySubject, Value: grant.Subject, Before: time.Now(),
		})
		if err != nil {
			return echo.NewHTTPError(http.StatusServiceUnavailable).SetInternal(err)
		}
		return c.JSON(http.StatusOK, map[string]any{"signed out": grant.Subject})
	}
}

// serveAPI is one process: it says where it listens, then writes its log, until its input ends.
func serveAPI(ctx context.Context, s settings, out io.Writer) error {
	config, err := redisstore.ParseURL(s.redis)
	if err != nil {
		return err
	}
	config.MaxSkew = 100 * time.Millisecond // one machine, one clock; five seconds is usual
	store, err := redisstore.Open(ctx, config)
	if err != nil {
		return err
	}
	defer store.Close()
	e, guard, err := newAPI(s, store, config.Region, slog.New(slog.NewJSONHandler(out, nil)))
	if err != nil {
		return err
	}
	defer guard.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, listener.Addr())
	server := &http.Server{Handler: e, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with whoever started this process
		_ = server.Close()
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}
