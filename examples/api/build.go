package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	prometheusexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/admin"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/settings"
	"github.com/senderlock/senderlock/logqueue"
	"github.com/senderlock/senderlock/otelauth"
)

// app is the program, put together.
type app struct {
	settings *settings.Settings
	events   eventSettings
	log      *slog.Logger
	api      *echo.Echo
	admin    http.Handler
	ready    *admin.Readiness
	tls      *tls.Config // nil: no TLS listener
	ending   atomic.Bool // no new work is wanted

	closers []func() error // run from the last to the first
}

// build makes everything that the settings ask for. Nothing listens yet, and no answer of an authorization server is
// waited for, so one that is down does not keep the program from starting.
func build(s *settings.Settings, events eventSettings, log *slog.Logger, lines *logqueue.Writer) (a *app, err error) {
	a = &app{settings: s, events: events, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
			a = nil
		}
	}()
	stores, err := s.Open()
	if err != nil {
		return a, err
	}
	a.onClose(stores.Close)
	registry, observer, err := a.telemetry(stores.Replay)
	if err != nil {
		return a, err
	}
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "senderlock_log_lines_lost_total", Help: "Lines of the log that were dropped because nobody took them",
	}, func() float64 { return float64(lines.Lost()) }))
	operations, err := s.Operations(stores, log)
	if err != nil {
		return a, err
	}
	a.onClose(operations.Close)
	a.ready = operations.Ready
	guard, err := s.Guard(stores, log, func(c *access.Config) {
		c.Observer = observer
		operations.Hear(c)
		for i := range c.Resources {
			c.Resources[i].Name = "Example API"
		}
	})
	if err != nil {
		return a, err
	}
	a.onClose(guard.Close)
	if a.api, err = a.routes(guard.Guard, stores.Tokens); err != nil {
		return a, err
	}
	guard.FetchKeys() // readiness waits for them
	if a.admin, err = operations.Handler(stores.Tokens, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})); err != nil {
		return a, err
	}
	a.tls, err = s.TLS(log)
	return a, err
}

// Close releases everything that build made. Requests must have ended.
func (a *app) Close() error {
	var all []error
	for _, closer := range slices.Backward(a.closers) {
		all = append(all, closer())
	}
	a.closers = nil
	return errors.Join(all...)
}

func (a *app) onClose(closer func() error) { a.closers = append(a.closers, closer) }

// telemetry collects metrics for Prometheus. To export spans as well, give otelauth a TracerProvider.
func (a *app) telemetry(replay dpop.ReplayStore) (*prometheus.Registry, access.Observer, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := prometheusexporter.New(prometheusexporter.WithRegisterer(registry), prometheusexporter.WithoutScopeInfo())
	if err != nil {
		return nil, access.Observer{}, err
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter))
	a.onClose(func() error { return provider.Shutdown(context.Background()) })
	c := otelauth.Config{MeterProvider: provider}
	c.Replay, _ = replay.(otelauth.Replay) // the shared store counts for itself
	observer, err := otelauth.New(c)
	return registry, observer, err
}
