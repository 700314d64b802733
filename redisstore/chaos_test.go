package redisstore_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
)

// proofsEnv is how many proofs the long tests send.
const proofsEnv = "SENDERLOCK_REDIS_PROOFS"

func proofCount(t *testing.T, usual int) int {
	if s := os.Getenv(proofsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return poptest.Walks(usual)
}

// crowd is two instances with 64 sockets each, and what became of the proofs that they were sent.
type crowd struct {
	t       *testing.T
	sockets []*socket
	client  *client

	sent, accepted, refused, nonces int
	old                             []*used
}

type used struct {
	proof    string
	accepted atomic.Int32
}

func newCrowd(t *testing.T, c redisstore.Config) *crowd {
	w := &crowd{t: t, client: newClient(time.Now())}
	for range 2 {
		i := start(t, c)
		for range 64 {
			w.sockets = append(w.sockets, i.socket(t))
		}
	}
	return w
}

// send sends one proof by every socket at once, and with it some of those sent before.
func (w *crowd) send() {
	p := &used{proof: w.client.proof(time.Now())}
	w.old = append(w.old, p)
	var unavailable atomic.Int32
	var wg sync.WaitGroup
	for i, s := range w.sockets {
		q := p
		if i%8 == 7 { // replays, old and new
			q = w.old[rand.IntN(len(w.old))]
		}
		wg.Go(func() {
			switch a := s.send(w.t, w.client, q.proof); {
			case a.status == http.StatusOK:
				q.accepted.Add(1)
			case q != p:
			case a.status == http.StatusServiceUnavailable:
				unavailable.Add(1)
			}
		})
	}
	wg.Wait()
	w.sent++
	switch {
	case p.accepted.Load() > 0:
		w.accepted++
	case unavailable.Load() > 0:
		w.refused++
	default:
		w.nonces++
	}
}

func (w *crowd) report() {
	w.t.Helper()
	twice := 0
	for _, p := range w.old {
		if p.accepted.Load() > 1 {
			twice++
		}
	}
	w.t.Logf("%d proofs by %d sockets: %d accepted once, %d accepted twice; of the good ones %d refused with 503, %d asked for a nonce",
		w.sent, len(w.sockets), w.accepted, twice, w.refused, w.nonces)
	if twice > 0 {
		w.t.Errorf("%d proofs were accepted more than once", twice)
	}
	if w.accepted == 0 {
		w.t.Error("no proof was accepted")
	}
}

// RS-073, RS-180: one proof everywhere at once is accepted once, while Redis, which keeps nothing on disk, is killed,
// started anew, halted and paused at random. With Fallback, and without.
func TestChaos(t *testing.T) {
	for name, fallback := range map[string]redisstore.Fallback{"refusing": "", "fallback": redisstore.FallbackNonce} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			w := newCrowd(t, redisstore.Config{
				Addresses: []string{server.Addr}, Timeout: 150 * time.Millisecond, MaxSkew: time.Second, Fallback: fallback,
			})
			ctx, cancel := context.WithCancel(context.Background())
			var harm sync.WaitGroup
			harm.Go(func() { harass(ctx, server) })
			for range proofCount(t, 90) {
				w.send()
			}
			cancel()
			harm.Wait()
			w.report()
		})
	}
}

// harass does the server harm until ctx ends, and leaves it well.
func harass(ctx context.Context, s *redistest.Server) {
	rest := func(most int) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.IntN(most)) * time.Millisecond):
		}
	}
	for ctx.Err() == nil {
		rest(600)
		switch rand.IntN(4) {
		case 0:
			s.Kill()
			rest(200)
			s.Restart()
		case 1:
			s.Stop()
			rest(300)
			s.Continue()
		case 2:
			s.Do("CLIENT", "PAUSE", strconv.Itoa(1+rand.IntN(300)))
		default:
			s.Do("CLIENT", "KILL", "TYPE", "normal")
		}
	}
}

// The same in peace: every proof is accepted, and once.
func TestOnceAmongInstances(t *testing.T) {
	t.Parallel()
	w := newCrowd(t, redisstore.Config{Addresses: []string{redistest.Start(t).Addr}})
	w.sockets[0].call(t, w.client, time.Now()) // fetches a nonce, because the server is new
	for range proofCount(t, 30) {
		w.send()
	}
	w.report()
	if w.accepted != w.sent {
		t.Errorf("%d of %d good proofs were accepted", w.accepted, w.sent)
	}
}
