package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/gateway"
)

// testGateway has the gateway in front of a service that knows nothing of proofs or of other origins. The page reads
// challenge and nonce, and comes again; the page of another origin reads nothing, the refusal included.
func testGateway(t *testing.T, b *browsertest.Browser) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"owner": %q}`, r.Header.Get(gateway.FieldSubject))
	}))
	t.Cleanup(service.Close)
	v := visitPage(t, b, func(at origins, decisions *decisions, log io.Writer) (*api, error) {
		a, err := newAPI(at, decisions, log)
		if err != nil {
			return nil, err
		}
		signer, err := gateway.NewSigner(at.api, nil)
		if err != nil {
			return nil, err
		}
		proxy, err := gateway.New(gateway.Config{
			Guard: a.guard, Signer: signer, Upstream: service.URL, CORSOrigin: at.page, Log: slog.New(slog.NewTextHandler(log, nil)),
			Routes: []gateway.Route{{Pattern: "GET /accounts", Requirement: access.Requirement{Scopes: []string{scope}}}},
		})
		if err != nil {
			return nil, err
		}
		a.Echo = echo.New()
		a.Use(decisions.number, func(next echo.HandlerFunc) echo.HandlerFunc { // for the demo alone
			return func(c echo.Context) error {
				c.Response().Header().Set("Access-Control-Expose-Headers", requestIDField)
				return next(c)
			}
		})
		a.Any("/*", echo.WrapHandler(proxy))
		return a, nil
	})
	v.logIn()
	for i, want := range []string{nonceFirst + ownerAccepted, ownerAccepted} {
		if got := v.press("call"); got.String() != want || !got.Good {
			t.Errorf("call %d: %s\nwant %s", i+1, got, want)
		}
	}
	try := func(path string) string {
		return browsertest.Value[string](v.Browser, fmt.Sprintf(
			`fetch(%q, { headers: { Authorization: "DPoP t", DPoP: "p" } }).then((r) => "read " + r.status, (e) => e.name)`, v.at.api+path))
	}
	for path, want := range map[string]string{"/accounts": "read 401", "/unlisted": "read 404"} {
		if got := try(path); got != want {
			t.Errorf("our own page, %s: %s, want %s", path, got, want)
		}
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>other</title>`)
	}))
	defer other.Close()
	v.Open(other.URL)
	for _, path := range []string{"/accounts", "/unlisted"} {
		if got := try(path); got != "TypeError" {
			t.Errorf("another page, %s: %s", path, got)
		}
	}
}
