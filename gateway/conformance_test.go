package gateway_test

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/senderlocktest"
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
	want := w.conform(issuer, direct)
	through := map[string]func(*world) *httptest.Server{"gateway": func(w *world) *httptest.Server { return w.proxy(routes) }}
	for _, f := range slices.Concat(fronts, contracts) {
		through[string(f.preset)] = func(w *world) *httptest.Server { return f.start(w, routes...) }
	}
	for name, start := range through {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, guard: w.guard, signer: w.signer, service: w.service, more: w.more}
			got := w.conform(issuer, start(w))
			for id, r := range want {
				switch _, listed := different[name][id]; {
				case listed && got[id].Outcome == r.Outcome:
					t.Errorf("%s is listed, and ends as with the Guard", id)
				case !listed && got[id].Outcome != r.Outcome:
					t.Errorf("%s: %s, with the Guard itself %s: %q", id, got[id].Outcome, r.Outcome, got[id].Problems)
				case listed && r.Wanted == "refused" && strings.Contains(strings.Join(got[id].Problems, " "), "status 2"):
					t.Errorf("%s is accepted, which the Guard refuses: %q", id, got[id].Problems)
				}
			}
			if len(got) != len(want) || len(got) < 1000 {
				t.Errorf("%d cases, %d with the Guard itself", len(got), len(want))
			}
			for _, id := range slices.Sorted(maps.Keys(different[name])) {
				if _, there := want[id]; !there {
					t.Errorf("%s is listed, and there is no such case", id)
				}
			}
		})
	}
}

// newConforming is a world whose Guard trusts the issuer of the suite.
func newConforming(t *testing.T) (*world, *conformance.Issuer) {
	t.Helper()
	issuer, err := conformance.NewIssuer(conformance.IssuerConfig{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = issuer.Close() })
	silent := slog.New(slog.DiscardHandler)
	opaque, err := access.NewIntrospection(access.IntrospectionConfig{
		Endpoint: issuer.URL() + "/introspect", Issuer: issuer.URL(), Audience: senderlocktest.Origin,
		ClientID: "resource-server", ClientSecret: "secret", Log: silent,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opaque.Close() })
	w := &world{t: t, service: newService(t)}
	w.more = sync.NewCond(&w.mu)
	c := access.Config{
		Origins: []string{senderlocktest.Origin}, Tokens: opaque, Resources: []access.Resource{{URL: senderlocktest.Origin}},
		InsecureForgetAtStart: true, Log: silent,
	}
	for _, path := range []string{"", "/down", "/rotating"} {
		c.Issuers = append(c.Issuers, access.Issuer{URL: issuer.URL() + path, Audience: senderlocktest.Origin})
	}
	if w.guard, err = access.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.guard.Close() })
	if w.signer, err = gateway.NewSigner("https://gateway.example.com", nil); err != nil {
		t.Fatal(err)
	}
	return w, issuer
}

// conform runs the suite against a server.
func (w *world) conform(issuer *conformance.Issuer, server *httptest.Server) map[string]conformance.Result {
	w.t.Helper()
	report, err := conformance.RunURL(w.t.Context(), conformance.Options{
		URL: "http://" + server.Listener.Addr().String() + "/resource", Origin: senderlocktest.Origin, Issuer: issuer,
		WarmUp: -1, Flood: -1,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]conformance.Result{}
	for _, r := range report.Results {
		all[r.ID] = r
	}
	return all
}
