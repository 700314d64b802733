package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The bounds of a connection. A token may have 16 KiB, a proof 8 and a certificate in a field 16.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 48 << 10

	// shutdownTimeout is how long the requests in flight may take once the program is ending: longer than any may.
	shutdownTimeout = readTimeout + writeTimeout
	// quietEvery is the time between two looks at whether connections are still busy.
	quietEvery = 10 * time.Millisecond
)

// listener is one of the ports.
type listener struct {
	name, address string // the variable, and where it leads
	server        *http.Server
	net.Listener

	mu    sync.Mutex
	busy  map[net.Conn]struct{} // connections that are new, or in the middle of a request
	ended bool                  // the port is closed
}

// watch keeps busy up to date. It is the ConnState of the server.
func (l *listener) watch(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		if l.busy == nil {
			l.busy = map[net.Conn]struct{}{}
		}
		l.busy[c] = struct{}{}
	default:
		delete(l.busy, c)
	}
}

func (l *listener) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.busy) == 0
}

// closePort takes no more connections, and leaves those that are open alone.
func (l *listener) closePort() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	_ = l.Listener.Close()
}

func (l *listener) portClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// serve answers requests until ctx is done. Then it stops without losing one: while the load balancer learns from
// /healthz, requests are still taken and their connections closed behind them; then the ports are closed, and what is
// in flight is answered.
func (a *app) serve(ctx context.Context) error {
	listeners, err := a.listen()
	if err != nil {
		return err
	}
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		a.log.Info("listening", "port", l.name, "address", l.Addr().String())
		go func() { failed <- l.serve() }()
	}
	select {
	case err = <-failed: // one port alone would be half an API
	case <-ctx.Done():
		a.ending.Store(true)
		a.log.Info("ending", "delay", a.settings.Drain)
		select {
		case <-time.After(a.settings.Drain):
		case err = <-failed:
		}
	}
	return errors.Join(err, shutdown(listeners))
}

func (a *app) listen() (listeners []*listener, err error) {
	s := a.settings
	wanted := []*listener{{name: "PORT", address: net.JoinHostPort(s.Host, s.Port), server: a.server(a.api)}}
	if s.TLSPort != "" {
		l := &listener{name: "TLS_PORT", address: net.JoinHostPort(s.Host, s.TLSPort), server: a.server(a.api)}
		l.server.TLSConfig = a.tls
		wanted = append(wanted, l)
	}
	if s.AdminPort != "" {
		wanted = append(wanted, &listener{name: "ADMIN_PORT", address: net.JoinHostPort(s.AdminHost, s.AdminPort), server: a.server(a.admin)})
	}
	for _, l := range wanted {
		if l.Listener, err = net.Listen("tcp", l.address); err != nil {
			for _, open := range listeners {
				_ = open.Close()
			}
			return nil, fmt.Errorf("%s: set a port that is free: %w", l.name, err)
		}
		l.server.ConnState = l.watch
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func (a *app) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // handshakes of scanners, mostly
	}
}

func (l *listener) serve() error {
	serve := l.server.Serve
	if l.server.TLSConfig != nil {
		serve = func(n net.Listener) error { return l.server.ServeTLS(n, "", "") }
	}
	if err := serve(l.Listener); !errors.Is(err, http.ErrServerClosed) && !l.portClosed() {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	return nil
}

// shutdown closes all ports at once and waits for the requests in flight, those that are half sent too: once Shutdown is
// called, net/http drops a request that it has not read to its end.
func shutdown(listeners []*listener) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	for _, l := range listeners {
		l.closePort()
	}
	look := time.NewTicker(quietEvery)
	defer look.Stop()
	for ctx.Err() == nil && slices.ContainsFunc(listeners, func(l *listener) bool { return !l.quiet() }) {
		<-look.C
	}
	done := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			err := l.server.Shutdown(ctx)
			if err != nil {
				err = fmt.Errorf("%s: requests were cut off: %w", l.name, errors.Join(err, l.server.Close()))
			}
			done <- err
		}()
	}
	var all []error
	for range listeners {
		all = append(all, <-done)
	}
	return errors.Join(all...)
}
