package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/rueidis"
)

// call is one execution of the script of a bucket's epoch, and what it answered. Its keys lie in the bucket.
type call struct {
	bucket *bucket
	op     string
	keys   []string
	args   []string
	// alone is a call of which nothing is believed that replicas must confirm.
	alone bool

	done   bool     // whatever op does was done: the claim is fresh, the value was swapped
	values []string // of the keys after the first
	// repeated says that it was sent again, because a connection was closed before the answer came. The first may have
	// been executed: a key that is there may be its own, and what it wrote there is confirmed by nobody.
	repeated bool

	epoch *epoch
	reply reply
	over  bool // it need not be sent again
	err   error
}

// attempts are how often a call is sent: over each of four connections to a server, any of which may turn out to be
// closed when it is used, and in some epochs.
const attempts = 6

// carryOut sends calls in one round trip. Those that found another epoch than theirs did nothing, and are sent again in
// the new one. Afterwards the lease is looked at once more: an answer that took longer than it is none.
func (s *Store) carryOut(ctx context.Context, calls ...*call) (err error) {
	for left, tries := len(calls), 0; left > 0 && tries < attempts; tries++ {
		for _, c := range calls {
			if c.epoch, err = c.bucket.enter(ctx); err != nil {
				return err
			}
		}
		began := s.now()
		s.send(ctx, calls)
		received := s.now()
		for _, c := range calls {
			if !c.over {
				s.take(c, began, received)
				if c.over {
					left--
				}
			}
		}
	}
	for _, c := range calls {
		if err := s.believed(c); err != nil {
			return err
		}
	}
	return nil
}

// believed returns what stands against the answer of a call.
func (s *Store) believed(c *call) error {
	if errors.Is(c.err, errOther) {
		s.conns.drop() // they lead to several servers
	}
	if c.err != nil {
		return c.err
	}
	if c.repeated && c.writes() && !c.done {
		return errors.New("redisstore: the connection was closed before the answer came")
	}
	if !c.bucket.holds(c.epoch) {
		c.bucket.trace("LATE", c.epoch)
		c.bucket.end(c.bucket.epoch.Load())
		return fmt.Errorf("redisstore: %w", errLapsed)
	}
	if c.done {
		c.bucket.trace("DONE", c.epoch)
	} else {
		c.bucket.trace("NOT DONE", c.epoch)
	}
	return nil
}

// take takes the answer, unless the call is to be sent again.
func (s *Store) take(c *call, began, received time.Time) {
	c.over = true
	server, err := c.read()
	switch {
	case err == nil:
		if err = s.agree(began, received, server); err != nil {
			c.bucket.end(c.epoch)
		}
	case wasClosed(err):
		c.repeated, c.over = true, false
		err = fmt.Errorf("redisstore: %w", err)
	default:
		err = s.trouble(err)
		if other := errors.Is(err, errOther); other || errors.Is(err, errReadOnly) {
			c.over = !other
			c.bucket.trace("OTHER", c.epoch)
			c.bucket.end(c.epoch)
		}
	}
	c.err = err
}

// read reads the answer: the server's time with what was done, and before it the values, if some were asked for.
func (c *call) read() (server time.Time, err error) {
	if c.reply.err != nil {
		return server, c.reply.err
	}
	m, err := c.reply.ToMessage()
	if err != nil {
		return server, err
	}
	c.values = c.values[:0]
	last := m
	if m.IsArray() {
		list, _ := m.ToArray()
		if len(list) == 0 {
			return server, ErrDamaged
		}
		for _, m := range list[:len(list)-1] {
			value, err := m.ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return server, err
			}
			c.values = append(c.values, value)
		}
		last = list[len(list)-1]
	}
	n, err := last.AsInt64()
	if err != nil {
		return server, err
	}
	switch {
	case n == other:
		return server, errOther
	case len(c.values) != len(c.keys)-1:
		return server, ErrDamaged
	}
	server, c.done = timeAndFlag(n)
	if c.done {
		err = c.reply.unconfirmed
	}
	return server, err
}

// writes reports whether the call makes a key: a claim, or the fence of a look-up.
func (c *call) writes() bool { return c.op == "call" && c.args[0] != "" }

func (c *call) command(b rueidis.Builder) rueidis.Completed {
	e := c.epoch
	return b.Evalsha().Sha1(e.script).Numkeys(int64(1+len(c.keys))).Key(c.bucket.key).Key(c.keys...).
		Arg(c.op, e.marker.name, e.marker.count).Arg(c.args...).Build()
}

// reply is what came back. What was written may be unconfirmed by the replicas.
type reply struct {
	rueidis.RedisResult
	err         error
	unconfirmed error
}

// send sends each call once that is not over. With Wait each needs a connection of its own, on which it waits for the
// replicas.
func (s *Store) send(ctx context.Context, calls []*call) {
	switch {
	case s.config.Wait > 0 && !calls[0].alone:
		var all sync.WaitGroup
		for _, c := range calls {
			if !c.over {
				all.Go(func() { c.reply = s.sendAndWait(ctx, c.command(s.client.B())) })
			}
		}
		all.Wait()
	case len(calls) == 1:
		calls[0].reply.RedisResult = s.client.Do(ctx, calls[0].command(s.client.B()))
	default:
		var commands []rueidis.Completed
		var sent []*call
		for _, c := range calls {
			if !c.over {
				commands, sent = append(commands, c.command(s.client.B())), append(sent, c)
			}
		}
		for i, answer := range s.client.DoMulti(ctx, commands...) {
			sent[i].reply.RedisResult = answer
		}
	}
}

// sendAndWait sends a command, and waits on the same connection until enough replicas have what was written on it.
func (s *Store) sendAndWait(ctx context.Context, command rueidis.Completed) (r reply) {
	answers, err := s.lend(ctx, command, s.waitCommand(s.client.B()))
	if err != nil {
		return reply{err: err}
	}
	return reply{RedisResult: answers[0], unconfirmed: s.waited(answers[1])}
}

// mostLent is how many connections may be lent at once, by each node of a Cluster.
const mostLent = 1024

// lend sends commands on a connection that is theirs alone meanwhile. It waits for one to be free, or to be made, no longer
// than ctx allows: outside of a Cluster rueidis would wait whatever ctx says.
func (s *Store) lend(ctx context.Context, commands ...rueidis.Completed) ([]rueidis.RedisResult, error) {
	if !s.config.Cluster {
		select {
		case s.lent <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	answered := make(chan []rueidis.RedisResult, 1)
	go func() {
		_ = s.client.Dedicated(func(c rueidis.DedicatedClient) error {
			answered <- c.DoMulti(ctx, commands...)
			return nil
		})
		if !s.config.Cluster {
			<-s.lent
		}
	}()
	select {
	case answers := <-answered:
		return answers, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// waitCommand waits on the same connection for what was written on it. It gives up in time for its answer.
func (s *Store) waitCommand(b rueidis.Builder) rueidis.Completed {
	return b.Wait().Numreplicas(int64(s.config.Wait)).Timeout(max(1, s.config.Timeout.Milliseconds()/2)).Build()
}

func (s *Store) waited(answer rueidis.RedisResult) error {
	n, err := answer.AsInt64()
	if err != nil {
		return fmt.Errorf("redisstore: wait: %w", err)
	}
	if n < int64(s.config.Wait) {
		return fmt.Errorf("%w: %d of %d", ErrReplicas, n, s.config.Wait)
	}
	return nil
}

// aside sends a command on a connection beside that of the calls: one that is used by one after another answers faster,
// and a renewal would come in between. What it wrote is with the replicas.
func (s *Store) aside(ctx context.Context, command rueidis.Completed) (answer rueidis.RedisResult, err error) {
	if s.config.Wait > 0 {
		r := s.sendAndWait(ctx, command)
		if r.err == nil && r.Error() == nil {
			r.err = r.unconfirmed
		}
		return r.RedisResult, r.err
	}
	if s.config.Cluster { // there are as many of them as buckets, which go together
		return s.client.Do(ctx, command), nil
	}
	answers, err := s.lend(ctx, command)
	if err != nil {
		return answer, err
	}
	return answers[0], nil
}

// trouble says what an error means for the epoch. A server that is a replica now is left, with all connections.
func (s *Store) trouble(err error) error {
	switch {
	case says(err, "NOSCRIPT"), errors.Is(err, errOther):
		return errOther
	case says(err, "READONLY"):
		s.conns.drop()
		return fmt.Errorf("redisstore: %w: %w", errReadOnly, err)
	}
	return fmt.Errorf("redisstore: %w", err)
}

// says reports whether a server answered with an error of a kind.
func says(err error, kind string) bool {
	r, ok := errors.AsType[*rueidis.RedisError](err)
	return ok && strings.HasPrefix(r.Error(), kind+" ")
}

func wasClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
