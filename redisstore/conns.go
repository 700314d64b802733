package redisstore

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// connections are all that are open, so that they can be made anew: a name or an address may lead elsewhere by now,
// while the old server goes on answering over those that it has.
type connections struct {
	mu      sync.Mutex
	open    map[*connection]struct{}
	dropped time.Time
}

// dropEvery is how often they are made anew at most, however many calls fail meanwhile.
const dropEvery = 100 * time.Millisecond

type connection struct {
	net.Conn
	of *connections
}

func (c *connections) dial(ctx context.Context, addr string, d *net.Dialer, conf *tls.Config) (net.Conn, error) {
	conn, err := connect(ctx, addr, d, conf)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*connection]struct{}{}
	}
	n := &connection{conn, c}
	c.open[n] = struct{}{}
	return n, nil
}

func connect(ctx context.Context, addr string, d *net.Dialer, conf *tls.Config) (net.Conn, error) {
	if conf == nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: d, Config: conf}).DialContext(ctx, "tcp", addr)
}

func (n *connection) Close() error {
	n.of.mu.Lock()
	delete(n.of.open, n)
	n.of.mu.Unlock()
	return n.Conn.Close()
}

// drop closes all of them. Whoever uses one next makes a new one.
func (c *connections) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.dropped) < dropEvery {
		return
	}
	open := c.open
	c.open, c.dropped = nil, time.Now()
	for n := range open {
		_ = n.Conn.Close()
	}
}
