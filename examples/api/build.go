package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	prometheusexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/admin"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/logqueue"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/otelauth"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// app is the program, put together.
type app struct {
	settings *settings
	log      *slog.Logger
	api      *echo.Echo
	admin    http.Handler
	ready    *admin.Readiness
	tls      *tls.Config // nil: no TLS listener
	ending   atomic.Bool // no new work is wanted

	closers []func() error // run from the last to the first
}

// records are the revocations, and the tokens in use.
type records interface {
	revocation.Store
	revocation.Register
	Close() error
}

// build makes everything that the settings ask for. Nothing listens yet, and no answer of an
// authorization server is waited for, so one that is down does not keep the program from starting.
func build(s *settings, log *slog.Logger, lines *logqueue.Writer) (a *app, err error) {
	a = &app{settings: s, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
			a = nil
		}
	}()
	shared, err := a.shared()
	if err != nil {
		return a, err
	}
	replay, err := a.replay(shared)
	if err != nil {
		return a, err
	}
	tokens, err := a.records(shared)
	if err != nil {
		return a, err
	}
	registry, observer, err := a.telemetry(replay)
	if err != nil {
		return a, err
	}
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "senderlock_log_lines_lost_total", Help: "Lines of the log that were dropped because nobody took them",
	}, func() float64 { return float64(lines.Lost()) }))
	o, observer, err := a.operations(shared, tokens, observer)
	if err != nil {
		return a, err
	}
	a.ready = o.ready
	guard, err := a.guard(replay, tokens, o, observer)
	if err != nil {
		return a, err
	}
	if a.api, err = a.routes(guard, tokens); err != nil {
		return a, err
	}
	if a.admin, err = a.operator(tokens, o, registry); err != nil {
		return a, err
	}
	return a, a.listenTLS()
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

// retention is for as long as a token that a revocation denies is accepted.
func (s *settings) retention() revocation.Retention {
	return revocation.Retention{Lifetime: s.maxLifetime, Leeway: access.DefaultLeeway}
}

// shared is what many instances remember together, in Redis. Nil unless set.
func (a *app) shared() (*redisstore.Store, error) {
	if a.settings.redisURL == "" {
		return nil, nil
	}
	const want = "REPLAY_REDIS_URL is not usable: set the URL of a Redis that answers, such as redis://10.0.0.1:6379/0: %w"
	c, err := redisstore.ParseURL(a.settings.redisURL)
	if err != nil {
		return nil, fmt.Errorf(want, err)
	}
	c.Retention = a.settings.retention()
	if c.Window == 0 {
		c.Window = max(redisstore.DefaultWindow, a.settings.proofLife())
	}
	store, err := redisstore.Open(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf(want, err)
	}
	a.onClose(store.Close)
	return store, nil
}

// replay remembers used proofs: in the shared store, or in this process.
func (a *app) replay(shared *redisstore.Store) (dpop.ReplayStore, error) {
	if shared != nil {
		return shared, nil
	}
	m, err := dpop.NewMemory(dpop.MemoryConfig{Window: a.settings.proofLife()})
	if err != nil {
		return nil, err
	}
	a.onClose(m.Close)
	return m, nil
}

// records are in a file if it is named, so that they outlive a restart, or in the shared store, or in this process.
func (a *app) records(shared *redisstore.Store) (r records, err error) {
	options := revocation.Options{Retention: a.settings.retention()}
	switch path := a.settings.revocationFile; {
	case path != "":
		if r, err = revocation.Open(path, options); err != nil {
			return nil, fmt.Errorf("REVOCATION_FILE is %q: set the path of a file that this program alone can write: %w", path, err)
		}
	case shared != nil:
		return shared, nil
	default:
		if r, err = newMemory(options); err != nil {
			return nil, err
		}
	}
	a.onClose(r.Close)
	return r, nil
}

// memory is a [revocation.Memory], which needs no closing.
type memory struct{ *revocation.Memory }

func (memory) Close() error { return nil }

func newMemory(o revocation.Options) (records, error) {
	m, err := revocation.NewMemory(o)
	return memory{m}, err
}

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

func (a *app) guard(replay dpop.ReplayStore, tokens records, o *operations, observer access.Observer) (*access.Guard, error) {
	s := a.settings
	certificates, err := s.certificates()
	if err != nil {
		return nil, err
	}
	address := access.AddressSource(access.PeerAddress)
	if !s.proxies.IsZero() {
		if address, err = access.ForwardedAddress(s.proxies); err != nil {
			return nil, fmt.Errorf("TRUSTED_PROXIES: %w", err)
		}
	}
	opaque, err := a.opaque()
	if err != nil {
		return nil, err
	}
	var register revocation.Register
	if s.adminPort != "" { // nobody could ask for it otherwise
		register = tokens
	}
	guard, err := access.New(access.Config{
		Origins: s.origins, ForwardedBy: s.proxies, Resource: s.resource(),
		Issuers: []access.Issuer{s.issuer}, HTTPClient: s.client(), Tokens: opaque, MaxTokenLifetime: s.maxLifetime,
		Revocation: tokens, Register: register, Address: address,
		Certificates: certificates,
		MaxAge:       s.maxAge, Skew: s.skew, RequireNonce: s.nonce, Nonces: s.nonces, Replay: replay,
		Log: a.log, LogAccepted: true, Observer: observer, OnAlert: o.alerts.Observe(nil),
	})
	if err != nil {
		return nil, err
	}
	a.onClose(guard.Close)
	guard.FetchKeys() // readiness waits for them
	return guard, nil
}

// client asks the authorization server. Nil is the library's own.
func (s *settings) client() *http.Client {
	if s.issuerCAs == nil {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.issuerCAs}
	return &http.Client{Transport: transport}
}

// certificates come from the client's own connection, and from the proxies' field if they have one. Nil refuses tokens
// that are bound to a certificate, as there is no way to present one.
func (s *settings) certificates() (mtls.CertificateSource, error) {
	check := mtls.Verification{Roots: s.clientCAs}
	if s.certHeader == "" {
		switch {
		case s.tlsPort == "":
			return nil, nil
		case s.clientCAs == nil:
			return mtls.FromTLS, nil
		}
		return check.FromTLS()
	}
	proxy := mtls.Proxy{Trusted: s.proxies, DirectTLS: true}
	if s.certHeader == headerEscapedPEM {
		proxy.Format = mtls.EscapedPEM
	}
	if s.clientCAs == nil {
		return mtls.FromProxy(proxy)
	}
	return check.FromProxy(proxy)
}

// resource is what the API publishes of itself: under its audience, if that is one of its URLs, else under the first
// origin that may be named. Nil if there is none.
func (s *settings) resource() *access.Resource {
	known, err := dpop.New(dpop.Config{Origins: s.origins, Namespace: "the settings"})
	if err != nil {
		return nil
	}
	defer known.Close()
	for _, candidate := range append([]string{s.issuer.Audience}, s.origins...) {
		u, err := url.Parse(candidate)
		if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
			continue
		}
		r := &http.Request{Host: u.Host, RequestURI: cmp.Or(u.EscapedPath(), "/")}
		if u.Scheme == "https" {
			r.TLS = &tls.ConnectionState{}
		}
		if _, err := known.Target(r); err == nil {
			return &access.Resource{URL: candidate, Name: "Example API"}
		}
	}
	return nil
}

// listenTLS makes the settings of the TLS listener: it asks for a client certificate, demands none and leaves its chain
// to certificates.
func (a *app) listenTLS() error {
	s := a.settings
	if s.tlsPort == "" {
		return nil
	}
	pair, err := mtls.NewKeyPair(mtls.KeyFiles{Certificate: s.tlsCert, Key: s.tlsKey, Log: a.log})
	if err != nil {
		return fmt.Errorf("TLS_CERT_FILE, TLS_KEY_FILE: %w", err)
	}
	a.tls, err = mtls.ServerTLS(&tls.Config{GetCertificate: pair.GetCertificate})
	return err
}
