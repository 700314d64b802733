package gateway_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/access/rollout"
	"github.com/senderlock/senderlock/admin"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/senderlocktest"
)

// decided is the newest decision of a Guard.
type decided struct {
	mu   sync.Mutex
	last access.Decision
}

func (d *decided) hear(_ context.Context, decision access.Decision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = decision
}

// reasons are why the newest request was refused, and why stricter demands would have refused it.
func (d *decided) reasons() (reason, would string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last.Would != nil {
		would = d.last.Would.Reason()
	}
	return d.last.Reason(), would
}

// The bearer list, report-only and the operator's handler do through the gateway, and through each proxy that asks, what
// they do in a program: who is listed passes until the date and is counted, what stricter demands would refuse passes and
// is told, and what was revoked does not pass any more.
func TestRollout(t *testing.T) {
	eachWay(t, func(t *testing.T, _ string, start starts) {
		var heard decided
		var clients *rollout.Clients
		var store *revocation.Memory
		var ends time.Time
		w := newWorld(t, func(c *access.Config) {
			ends = c.Now().Add(time.Hour)
			c.Bearer = []access.Bearer{{Clients: []string{"old-app"}, Until: ends}}
			c.ReportOnly = &access.ReportOnly{Bound: true, Requirement: access.Requirement{Scopes: []string{"new"}}}
			var err error
			if clients, err = rollout.New(t.Context(), rollout.Config{Now: c.Now}); err != nil {
				t.Fatal(err)
			}
			if store, err = revocation.NewMemory(revocation.Options{Now: c.Now}); err != nil {
				t.Fatal(err)
			}
			c.Revocation, c.Observer = store, clients.Observe(access.Observer{Decided: heard.hear})
		})
		t.Cleanup(func() { _ = clients.Close() })
		operator, err := admin.New(admin.Config{Issuers: []string{w.issuer.URL()}, Store: store, InsecureLocal: true})
		if err != nil {
			t.Fatal(err)
		}
		server := start(w, gateway.Route{Pattern: "GET /orders/{id}"})
		unbound := func(client string) []string {
			return []string{"Authorization: Bearer " + w.issuer.Token(senderlocktest.Token{Subject: "user-2", ClientID: client, Scopes: []string{"old"}})}
		}
		listed := unbound("old-app")
		for _, step := range []struct {
			name          string
			before        func()
			headers       func() []string
			status        int
			reason, would string
			subject       string
		}{
			{"the owner, without the scope to come", nil, func() []string { return w.headers("GET", "/orders/7", w.token("old")) }, 200, "", "scope_missing", "user-1"},
			{"the owner, with it", nil, func() []string { return w.headers("GET", "/orders/7", w.token("new")) }, 200, "", "", "user-1"},
			{"a client of the list", nil, func() []string { return listed }, 200, "", "token_unbound", "user-2"},
			{"another client", nil, func() []string { return unbound("new-app") }, 401, "token_unbound", "", ""},
			{"a bound token under Bearer", nil, func() []string { return []string{"Authorization: Bearer " + w.token()} }, 401, "bound_token_as_bearer", "", ""},
			{"a revoked one", func() {
				r := httptest.NewRequest("POST", "http://127.0.0.1/revoke", strings.NewReader(`{"by":"subject","value":"user-2"}`))
				r.Header.Set("Content-Type", "application/json")
				recorder := httptest.NewRecorder()
				if operator.ServeHTTP(recorder, r); recorder.Code != 200 {
					t.Fatalf("revoke: %d %s", recorder.Code, recorder.Body)
				}
			}, func() []string { return listed }, 401, "subject_revoked", "", ""},
			{"behind the date", func() { w.clock.Advance(ends.Sub(w.clock.Now())) }, func() []string { return unbound("old-app") }, 401, "bearer_ended", "", ""},
		} {
			if step.before != nil {
				step.before()
			}
			response := send(t, server, "GET", "/orders/7", step.headers())
			reason, would := heard.reasons()
			if response.StatusCode != step.status || reason != step.reason || would != step.would {
				t.Errorf("%s: %d for %q, would be %q", step.name, response.StatusCode, reason, would)
			}
			subject := ""
			if got := w.service.last(); got != nil {
				subject = got.Header.Get(gateway.FieldSubject)
			}
			if subject != step.subject {
				t.Errorf("%s: the service is told of %q", step.name, subject)
			}
		}
		for _, c := range clients.List() {
			if c.Client == "old-app" && c.Requests == 1 && c.Refused == 1 && c.Reasons["token_unbound"] == 1 {
				return
			}
		}
		t.Errorf("counted: %+v", clients.List())
	})
}
