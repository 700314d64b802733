package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/onedecision"
)

// different are the cases of the suite that do not end as with the Guard itself, with why. Each is refused rather than
// accepted, or says less.
var different = map[string]map[string]string{
	"gateway": {
		"absolute-form": "a target in absolute form is refused: what is forwarded would be another",
	},
	"nginx": {
		"challenge-error-on-bearer":         "nginx hands on the first challenge alone, which is that of DPoP",
		"forwarded-ignored-X-Original-Host": "what contradicts the fields of nginx is refused, not ignored",
	},
	"haproxy": {
		"forwarded-ignored-X-Original-Host": "what contradicts the fields of HAProxy is refused, not ignored",
	},
	"caddy": {
		"connection-names":                  "Caddy drops what Connection names, so there is no proof: refused, where the Guard alone does not read Connection",
		"forwarded-ignored-X-Original-Host": "what contradicts the fields of Caddy is refused, not ignored",
	},
	"traefik": {
		"absolute-form":                     "a target in absolute form is refused: Traefik forwards a path",
		"forwarded-ignored-X-Original-Host": "what contradicts the fields of Traefik is refused, not ignored",
	},
	"envoy": {
		"absolute-form":    "a target in absolute form is refused: Envoy makes a path of it",
		"underscore-field": "Envoy is set to refuse fields with underscores, since it drops names as they are written alone",
	},
}

// One decision: the vectors end with the gateway, and with each proxy that asks, as they do with the Guard itself.
func TestOneDecision(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED: -short leaves the conformance suite out")
	}
	w, issuer := newConforming(t)
	forms := gateway.PathForms(1<<7 - 1) // so that the Guard judges them
	routes := []gateway.Route{{Pattern: "/resource", Allow: forms}, {Pattern: "/resource/{path...}", Allow: forms}}
	direct := httptest.NewServer(w.guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	t.Cleanup(direct.Close)
	want := onedecision.Results(t, issuer, direct)
	through := map[string]func(*world) *httptest.Server{"gateway": func(w *world) *httptest.Server { return w.proxy(routes) }}
	for _, f := range slices.Concat(fronts, contracts) {
		through[string(f.preset)] = func(w *world) *httptest.Server { return f.start(w, routes...) }
	}
	for name, start := range through {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, guard: w.guard, signer: w.signer, service: w.service, more: w.more}
			onedecision.Compare(t, want, onedecision.Results(t, issuer, start(w)), different[name])
		})
	}
}

// newConforming is a world whose Guard trusts the issuer of the suite.
func newConforming(t *testing.T) (*world, *conformance.Issuer) {
	t.Helper()
	guard, issuer := onedecision.NewGuard(t)
	signer, err := gateway.NewSigner("https://gateway.example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, guard: guard, signer: signer, service: newService(t)}
	w.more = sync.NewCond(&w.mu)
	return w, issuer
}
