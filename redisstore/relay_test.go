package redisstore_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// relay stands between a store and its server, as a name or a network does. It can swallow what is sent, with the
// connections left open, hold back what is answered, and lead new connections to another server. A connection of which it
// swallowed something carries nothing more: it ends when it would, as TCP does, which never leaves something out. It can
// also put words into the server's mouth.
type relay struct {
	addr  string
	mu    sync.Mutex
	moved *sync.Cond
	to    string
	up    bool   // what the store sends gets through
	down  bool   // what the server answers gets through
	waits *bool  // what waits: &up, &down, or nothing
	says  string // in place of what the server answers, if anything
	conns []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), to: to, up: true, down: true}
	r.moved = sync.NewCond(&r.mu)
	t.Cleanup(func() {
		_ = l.Close()
		r.hold(nil)
		r.cut()
	})
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(near)
		}
	}()
	return r
}

func (r *relay) serve(near net.Conn) {
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	far, err := net.Dial("tcp", to)
	if err != nil {
		_ = near.Close()
		return
	}
	r.mu.Lock()
	r.conns = append(r.conns, near, far)
	r.mu.Unlock()
	go r.pass(far, near, &r.up)
	r.pass(near, far, &r.down)
}

func (r *relay) pass(to, from net.Conn, open *bool) {
	defer to.Close()
	lost := false
	for b := make([]byte, 64<<10); ; {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		r.mu.Lock()
		for r.waits == open {
			r.moved.Wait()
		}
		through, passed := *open, b[:n]
		if open == &r.down && r.says != "" {
			passed = []byte(r.says)
		}
		r.mu.Unlock()
		if lost = lost || !through; through {
			if lost {
				return
			}
			if _, err := to.Write(passed); err != nil && !errors.Is(err, io.EOF) {
				return
			}
		}
	}
}

func (r *relay) set(up, down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up, r.down = up, down
}

// say answers in the server's place from now on, or no longer.
func (r *relay) say(answer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.says = answer
}

// hold lets what is sent in one direction wait: &r.up, &r.down, or neither.
func (r *relay) hold(direction *bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits = direction
	r.moved.Broadcast()
}

// lead leads new connections to another server. Those that are open stay.
func (r *relay) lead(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

// cut closes all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}
