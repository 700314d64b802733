// Package onedecision compares how servers end the suite of package conformance, for tests of what stands in front of a
// Guard: the decision is that of the Guard, whichever way a request comes.
package onedecision

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
)

const origin = "https://api.example.com"

// NewGuard is a Guard for the cases of the suite, and the issuer that it trusts. They end with the test.
func NewGuard(t testing.TB) (*access.Guard, *conformance.Issuer) {
	t.Helper()
	issuer, err := conformance.NewIssuer(conformance.IssuerConfig{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = issuer.Close() })
	silent := slog.New(slog.DiscardHandler)
	opaque, err := access.NewIntrospection(access.IntrospectionConfig{
		Endpoint: issuer.URL() + "/introspect", Issuer: issuer.URL(), Audience: origin,
		ClientID: "resource-server", ClientSecret: "secret", Log: silent,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opaque.Close() })
	c := access.Config{
		Origins: []string{origin}, Tokens: opaque, Resources: []access.Resource{{URL: origin}}, InsecureForgetAtStart: true, Log: silent,
	}
	for _, path := range []string{"", "/down", "/rotating"} {
		c.Issuers = append(c.Issuers, access.Issuer{URL: issuer.URL() + path, Audience: origin})
	}
	guard, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	return guard, issuer
}

// Results are what came of each case of the suite against /resource of a server.
func Results(t testing.TB, issuer *conformance.Issuer, server *httptest.Server) map[string]conformance.Result {
	t.Helper()
	report, err := conformance.RunURL(t.Context(), conformance.Options{
		URL: "http://" + server.Listener.Addr().String() + "/resource", Origin: origin, Issuer: issuer, WarmUp: -1, Flood: -1,
		Timeout: time.Minute, Quick: 30 * time.Second, // this machine may be busy
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]conformance.Result{}
	for _, r := range report.Results {
		all[r.ID] = r
	}
	return all
}

// Compare holds results against those of the Guard itself. Cases that end differently are listed, with why, and none of
// them may be accepted that is to be refused.
func Compare(t testing.TB, want, got map[string]conformance.Result, different map[string]string) {
	t.Helper()
	for id, r := range want {
		switch _, listed := different[id]; {
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
	for id := range different {
		if _, there := want[id]; !there {
			t.Errorf("%s is listed, and there is no such case", id)
		}
	}
}
