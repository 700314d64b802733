package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/settings"
)

// reloadable is a gateway whose settings can change while it runs. What it remembers outlives a change: used proofs,
// revocations, and the secret of its nonces; and the Guard with its caches, unless what it is made of has changed.
type reloadable struct {
	log    *slog.Logger
	stores *settings.Stores
	signer *gateway.Signer
	watch  *settings.Operations
	secret []byte // of nonces, where none is set

	mu      sync.RWMutex
	current *generation
	retired sync.WaitGroup
	ending  chan struct{} // closed by Close
}

// generation is what serves under one set of settings.
type generation struct {
	*guarded
	settings *gatewaySettings
	handler  http.Handler
}

// guarded is a Guard and the requests that are on their way through it.
type guarded struct {
	*settings.Guard
	requests sync.WaitGroup
}

// left is closed once no request is on its way. None may come meanwhile.
func (g *guarded) left() <-chan struct{} {
	none := make(chan struct{})
	go func() {
		g.requests.Wait()
		close(none)
	}()
	return none
}

func newReloadable(s *gatewaySettings, log *slog.Logger) (_ *reloadable, err error) {
	g := &reloadable{log: log, secret: make([]byte, dpop.MinNonceSecret), ending: make(chan struct{})}
	if _, err := rand.Read(g.secret); err != nil {
		return nil, err
	}
	if g.signer, err = gateway.NewSigner(s.name, s.key); err != nil {
		return nil, err
	}
	if g.stores, err = s.Open(); err != nil {
		return nil, err
	}
	if g.watch, err = s.Operations(g.stores, log); err != nil {
		return nil, errors.Join(err, g.stores.Close())
	}
	if g.current, err = g.make(s); err != nil {
		return nil, errors.Join(err, g.watch.Close(), g.stores.Close())
	}
	return g, nil
}

// check returns why the program could not serve under the settings. It opens no store and asks nobody.
func (s *gatewaySettings) check() error {
	alone := *s.Settings
	alone.RedisURL, alone.RevocationFile = "", ""
	tried := *s
	tried.Settings = &alone
	log := slog.New(slog.DiscardHandler)
	g, err := newReloadable(&tried, log)
	if err != nil {
		return err
	}
	_, err = s.TLS(log)
	if s.AdminPort != "" {
		_, admin := g.watch.Handler(g.stores.Tokens, nil)
		err = errors.Join(err, admin)
	}
	return errors.Join(err, g.Close())
}

// Close ends everything. Requests must have ended, but those of connections that were taken over.
func (g *reloadable) Close() error {
	close(g.ending)
	err := g.current.Close()
	g.retired.Wait()
	return errors.Join(err, g.watch.Close(), g.stores.Close())
}

// make makes what serves under the settings, with the Guard of the generation before if that is the same.
func (g *reloadable) make(s *gatewaySettings) (*generation, error) {
	n := &generation{settings: s}
	if len(s.Nonces.Secrets) == 0 {
		s.Nonces.Secrets = [][]byte{g.secret}
	}
	if g.current != nil && sameGuard(g.current.settings, s) {
		n.guarded = g.current.guarded
	} else {
		guard, err := s.Guard(g.stores, g.log, g.watch.Hear)
		if err != nil {
			return nil, err
		}
		n.guarded = &guarded{Guard: guard}
	}
	var err error
	if s.preset != "" {
		n.handler, err = gateway.NewForwardAuth(gateway.ForwardAuthConfig{
			Guard: n.Guard.Guard, Routes: s.routes, Upstream: s.upstream, Signer: g.signer, Preset: s.preset, Peers: s.Proxies,
			CORSOrigin: s.CORSOrigin, Idle: s.idle, Log: g.log,
		})
	} else {
		n.handler, err = gateway.New(gateway.Config{
			Guard: n.Guard.Guard, Routes: s.routes, Upstream: s.upstream, Signer: g.signer,
			Authorization: s.authorization, CORSOrigin: s.CORSOrigin, MaxBody: s.maxBody, Timeout: s.timeout, Idle: s.idle, Log: g.log,
		})
	}
	if err != nil && (g.current == nil || n.guarded != g.current.guarded) {
		err = errors.Join(err, n.Close())
	}
	return n, err
}

// sameGuard reports whether a Guard made of one set of settings is that of another. What is in a file may have changed.
func sameGuard(a, b *gatewaySettings) bool {
	return !slices.ContainsFunc(guardSettings, func(name string) bool {
		return a.values[name] != b.values[name] || b.values[name] != "" && strings.HasSuffix(name, "_FILE")
	})
}

// reload reads the settings anew. Wrong ones change nothing.
func (g *reloadable) reload(from source) {
	old := g.current // only reload changes it
	s, err := readGateway(from, old.settings.preset != "")
	if err == nil {
		err = restartFor(old.settings.values, s.values)
	}
	var n *generation
	if err == nil {
		n, err = g.make(s)
	}
	if err != nil {
		g.log.Error("settings were not read anew; those before hold", "cause", err.Error())
		return
	}
	g.mu.Lock()
	g.current = n
	g.mu.Unlock()
	g.log.Info("settings were read anew", "routes", len(s.routes), "guard_kept", n.guarded == old.guarded)
	if n.guarded != old.guarded {
		g.retired.Go(func() {
			select {
			case <-old.left():
			case <-g.ending: // what is left are connections that were taken over, which may go on for ever
			}
			_ = old.Close()
		})
	}
}

// restartFor names the settings that cannot change while the program runs.
func restartFor(before, after map[string]string) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] != after[name] && !slices.Contains(ownSettings, name) && !slices.Contains(guardSettings, name) {
			all = append(all, fmt.Errorf("%s has changed: start the program anew for it", name))
		}
	}
	return errors.Join(all...)
}

// ServeHTTP serves a request to its end under the settings with which it began.
func (g *reloadable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.RLock()
	n := g.current
	n.requests.Add(1)
	g.mu.RUnlock()
	defer n.requests.Done()
	n.handler.ServeHTTP(w, r)
}
