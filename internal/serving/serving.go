// Package serving serves HTTP on several ports until a program is told to end, and loses no request then.
package serving

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

// quietEvery is the time between two looks at whether connections are still busy.
const quietEvery = 10 * time.Millisecond

// Port is one of the ports. Fill in Name, Address and Server, and call [Listen].
type Port struct {
	Name, Address string // the setting, and where it leads
	Server        *http.Server
	net.Listener

	mu    sync.Mutex
	busy  map[net.Conn]struct{} // connections that are new, or in the middle of a request
	ended bool                  // the port is closed
}

// watch keeps busy up to date. It is the ConnState of the server.
func (p *Port) watch(c net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		if p.busy == nil {
			p.busy = map[net.Conn]struct{}{}
		}
		p.busy[c] = struct{}{}
	default:
		delete(p.busy, c)
	}
}

func (p *Port) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.busy) == 0
}

// close takes no more connections, and leaves those that are open alone.
func (p *Port) close() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	_ = p.Listener.Close()
}

func (p *Port) closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Listen opens all ports, or none. Its error names the setting.
func Listen(ports ...*Port) error {
	for i, p := range ports {
		listener, err := net.Listen("tcp", p.Address)
		if err != nil {
			for _, open := range ports[:i] {
				_ = open.Listener.Close()
			}
			return fmt.Errorf("%s: set a port that is free: %w", p.Name, err)
		}
		p.Listener = &closedOnce{Listener: listener, close: sync.OnceValue(listener.Close)}
		p.Server.ConnState = p.watch
	}
	return nil
}

// closedOnce is a listener that may be closed twice: Shutdown closes those that Serve has not yet seen closed, and takes it
// for a failure that somebody else was first.
type closedOnce struct {
	net.Listener
	close func() error
}

func (l *closedOnce) Close() error { return l.close() }

// End says how a program ends.
type End struct {
	// Begin is called when it is told to: for readiness to fail, and connections to be closed behind their answers. Nil
	// does nothing.
	Begin func()
	// Delay is for how long requests are still taken, while a load balancer learns of it.
	Delay time.Duration
	// Wait is for how long requests in flight are waited for.
	Wait time.Duration
	Log  *slog.Logger
}

// Serve answers requests until ctx is done. Then it stops without losing one: for a while requests are still taken, then
// the ports are closed, and what is in flight is answered.
func Serve(ctx context.Context, end End, ports ...*Port) (err error) {
	failed := make(chan error, len(ports))
	for _, p := range ports {
		end.Log.Info("listening", "port", p.Name, "address", p.Addr().String())
		go func() { failed <- p.serve() }()
	}
	select {
	case err = <-failed: // one port alone would be half of a program
	case <-ctx.Done():
		if end.Begin != nil {
			end.Begin()
		}
		end.Log.Info("ending", "delay", end.Delay)
		select {
		case <-time.After(end.Delay):
		case err = <-failed:
		}
	}
	return errors.Join(err, shutdown(ports, end.Wait))
}

func (p *Port) serve() error {
	serve := p.Server.Serve
	if p.Server.TLSConfig != nil {
		serve = func(l net.Listener) error { return p.Server.ServeTLS(l, "", "") }
	}
	if err := serve(p.Listener); !errors.Is(err, http.ErrServerClosed) && !p.closed() {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// shutdown closes all ports at once and waits for the requests in flight, those that are half sent too: once Shutdown is
// called, net/http drops a request that it has not read to its end.
func shutdown(ports []*Port, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for _, p := range ports {
		p.close()
	}
	look := time.NewTicker(quietEvery)
	defer look.Stop()
	for ctx.Err() == nil && slices.ContainsFunc(ports, func(p *Port) bool { return !p.quiet() }) {
		<-look.C
	}
	done := make(chan error, len(ports))
	for _, p := range ports {
		go func() {
			err := p.Server.Shutdown(ctx)
			if err != nil {
				err = fmt.Errorf("%s: requests were cut off: %w", p.Name, errors.Join(err, p.Server.Close()))
			}
			done <- err
		}()
	}
	var all []error
	for range ports {
		all = append(all, <-done)
	}
	return errors.Join(all...)
}
