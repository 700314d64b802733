package settings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/access/rollout"
	"github.com/senderlock/senderlock/admin"
)

// Operations is what the operator sees of the requests. It outlives a Guard.
type Operations struct {
	Alerts  admin.Alerts
	Clients *rollout.Clients
	Ready   *admin.Readiness

	settings *Settings
	log      *slog.Logger
}

// Operations makes what hears of the requests that the Guard decides about, for the admin port and readiness. The caller
// closes it behind the Guard.
func (s *Settings) Operations(stores *Stores, log *slog.Logger) (*Operations, error) {
	answers := map[string]func(context.Context) error{"revocations": admin.StoreAnswers(stores.Tokens)}
	if stores.Shared != nil {
		answers["redis"] = admin.StoreAnswers(stores.Shared)
	}
	o := &Operations{settings: s, log: log}
	var err error
	if o.Clients, err = rollout.New(context.Background(), rollout.Config{Log: log}); err != nil {
		return nil, err
	}
	o.Ready, err = admin.NewReadiness(admin.ReadinessConfig{Issuers: []string{s.Issuer.URL}, Stores: answers, Log: log})
	if err != nil {
		return nil, errors.Join(err, o.Clients.Close())
	}
	return o, nil
}

// Close releases what Operations made.
func (o *Operations) Close() error { return o.Clients.Close() }

// Hear has a Guard tell of its decisions and alerts, beside the Observer that it has.
func (o *Operations) Hear(c *access.Config) {
	c.Observer, c.OnAlert = o.Ready.Observe(o.Clients.Observe(c.Observer)), o.Alerts.Observe(c.OnAlert)
}

// Handler is that of the admin port. Whoever has ADMIN_TOKEN may do everything; give more credentials here, each with its
// rights. Metrics may be nil.
func (o *Operations) Handler(tokens Records, metrics http.Handler) (http.Handler, error) {
	c := admin.Config{
		Issuers: []string{o.settings.Issuer.URL}, Store: tokens, Register: tokens,
		Alerts: &o.Alerts, Clients: o.Clients, Ready: o.Ready, Metrics: metrics, Log: o.log,
	}
	if o.settings.AdminToken == "" {
		c.InsecureLocal = true
	} else {
		c.Credentials = []admin.Credential{{Name: "ADMIN_TOKEN", Token: o.settings.AdminToken, Rights: admin.Metrics | admin.Look | admin.Revoke}}
	}
	handler, err := admin.New(c)
	if err != nil {
		return nil, fmt.Errorf("ADMIN_TOKEN: %w", err)
	}
	return handler, nil
}
