package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/access/rollout"
	"github.com/senderlock/senderlock/admin"
	"github.com/senderlock/senderlock/internal/settings"
)

// operations is what the operator sees of the requests.
type operations struct {
	alerts  admin.Alerts
	clients *rollout.Clients
	ready   *admin.Readiness
}

// operations hears of everything that observer hears of. A program with several issuers or stores names them here.
func (a *app) operations(stores *settings.Stores, observer access.Observer) (*operations, access.Observer, error) {
	answers := map[string]func(context.Context) error{"revocations": admin.StoreAnswers(stores.Tokens)}
	if shared := stores.Shared; shared != nil {
		answers["redis"] = admin.StoreAnswers(shared)
	}
	o := &operations{}
	var err error
	if o.clients, err = rollout.New(context.Background(), rollout.Config{Log: a.log}); err != nil {
		return nil, observer, err
	}
	a.onClose(o.clients.Close)
	o.ready, err = admin.NewReadiness(admin.ReadinessConfig{Issuers: []string{a.settings.Issuer.URL}, Stores: answers, Log: a.log})
	if err != nil {
		return nil, observer, err
	}
	return o, o.ready.Observe(o.clients.Observe(observer)), nil
}

// operator is the handler of the admin port. Whoever has ADMIN_TOKEN may do everything; give more credentials here, each
// with its rights.
func (a *app) operator(tokens settings.Records, o *operations, registry *prometheus.Registry) (http.Handler, error) {
	c := admin.Config{
		Issuers: []string{a.settings.Issuer.URL}, Store: tokens, Register: tokens,
		Alerts: &o.alerts, Clients: o.clients, Ready: o.ready,
		Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), Log: a.log,
	}
	if a.settings.AdminToken == "" {
		c.InsecureLocal = true
	} else {
		c.Credentials = []admin.Credential{{Name: "ADMIN_TOKEN", Token: a.settings.AdminToken, Rights: admin.Metrics | admin.Look | admin.Revoke}}
	}
	handler, err := admin.New(c)
	if err != nil {
		return nil, fmt.Errorf("ADMIN_TOKEN: %w", err)
	}
	return handler, nil
}
