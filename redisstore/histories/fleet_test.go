package histories_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/redisstore/histories"
	"github.com/senderlock/senderlock/revocation"
)

// fleet is some instances of an API, and the history of what they were asked.
type fleet struct {
	t         *testing.T
	began     time.Time
	instances []*instance
	keeps     bool // what was revoked is kept through the harm
	ahead     atomic.Int64

	gate    sync.RWMutex // held by harm that nobody may see
	mu      sync.Mutex
	history []porcupine.Operation
	proofs  []string       // accepted ones, the last thousands
	held    []string       // those of a moment of which the servers may forget
	twice   bool           // a proof was accepted again
	times   map[string]int // that each was accepted
	names   atomic.Int64
	clients atomic.Int64
}

type instance struct {
	store    *redisstore.Store
	verifier *dpop.Verifier
	revoked  func(context.Context, revocation.Token) (*revocation.Entry, error)
}

// defect is what is planted. The zero one is none.
type defect struct {
	config func(*redisstore.Config)
	replay func(*redisstore.Store) dpop.ReplayStore
}

var secrets = [][]byte{[]byte("a nonce secret of the instances, 32 octets long")}

func newFleet(t *testing.T, n int, c redisstore.Config, d defect) *fleet {
	t.Helper()
	f := &fleet{t: t, began: time.Now(), times: map[string]int{}}
	addresses := c.Addresses
	for i := range n {
		c := c
		if c.Master == "" && !c.Cluster { // each instance may be led elsewhere
			c.Addresses = addresses[min(i, len(addresses)-1):][:1]
		}
		if d.config != nil {
			d.config(&c)
		}
		if i == 0 { // the clock of the first can be set
			c.Now = func() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }
		}
		c.Timeout, c.MaxSkew = cmp.Or(c.Timeout, time.Second), cmp.Or(c.MaxSkew, 50*time.Millisecond)
		store := opened(t, c)
		var replay dpop.ReplayStore = store
		if d.replay != nil {
			replay = d.replay(store)
		}
		v, err := dpop.New(dpop.Config{
			Origins: []string{"https://api.example.com"}, Replay: replay, Nonces: dpop.Nonces{Secrets: secrets}, Now: c.Now,
			Skew: 50 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Close() })
		f.instances = append(f.instances, &instance{store, v, store.Revoked})
	}
	return f
}

// opened opens a store as soon as the servers can be used.
func opened(t *testing.T, c redisstore.Config) *redisstore.Store {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		var s *redisstore.Store
		if s, err = redisstore.Open(t.Context(), c); err == nil {
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// note records a call with its answer.
func (f *fleet) note(client int, call histories.Call, do func() bool) (yes bool) {
	from := time.Since(f.began)
	yes = do()
	to := time.Since(f.began)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history = append(f.history, porcupine.Operation{
		ClientId: client, Input: call, Call: int64(from), Output: histories.Answer{Yes: yes}, Return: int64(to),
	})
	return yes
}

// prove sends a proof to an instance.
func (f *fleet) prove(client int, i *instance, proof string) {
	r, _ := http.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
	r.Host, r.RequestURI = "api.example.com", "/accounts"
	r.Header.Set("DPoP", proof)
	name := nameOf(proof)
	accepted := f.note(client, histories.Call{Op: histories.Prove, Name: name}, func() bool {
		_, err := i.verifier.Verify(r, "")
		return err == nil
	})
	if accepted {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.times[name]++
		f.twice = f.twice || f.times[name] > 1
	}
}

// nameOf is the end of the signature.
func nameOf(proof string) string { return proof[len(proof)-16:] }

// work sends proofs until there have been enough calls and ctx has ended: each new one to all instances at once, and some of
// before; takes back somebody now and then; and asks.
func (f *fleet) work(ctx context.Context, calls int) {
	client := int(f.clients.Add(100))
	for round := 0; f.count() < calls || ctx.Err() == nil; round++ {
		f.gate.RLock()
		proof := poptest.Proof{Nonce: f.any().verifier.Nonce(), URL: "https://api.example.com/accounts", IssuedAt: time.Now()}.String()
		var all sync.WaitGroup
		for i, to := range f.instances {
			all.Go(func() { f.prove(client+i, to, proof) })
		}
		all.Wait()
		for i, old := range f.old(proof) {
			f.prove(client+i, f.any(), old)
		}
		if f.keeps && round%8 == 0 {
			f.takeBack(client)
		}
		f.gate.RUnlock()
	}
}

// takeBack revokes a subject, and asks all instances before, meanwhile and afterwards.
func (f *fleet) takeBack(client int) {
	subject := fmt.Sprint("subject ", f.names.Add(1))
	ask := func(client int, i *instance) {
		f.note(client, histories.Call{Op: histories.Ask, Name: subject}, func() bool {
			now := time.Now()
			e, err := i.revoked(f.t.Context(), revocation.Token{
				Issuer: poptest.Issuer, ID: "token", Subject: subject, IssuedAt: now, Expiry: now.Add(time.Minute),
			})
			return e == nil && err == nil
		})
	}
	ask(client, f.any())
	var all sync.WaitGroup
	all.Go(func() {
		f.note(client, histories.Call{Op: histories.Revoke, Name: subject}, func() bool {
			e := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: subject}
			return f.any().store.Revoke(f.t.Context(), e) == nil
		})
	})
	all.Go(func() { ask(client+1, f.any()) })
	all.Wait()
	for i, to := range f.instances {
		ask(client+i, to)
	}
}

func (f *fleet) any() *instance { return f.instances[rand.IntN(len(f.instances))] }

// old remembers a proof if it was accepted, and returns one of the last thousands and one that is held.
func (f *fleet) old(proof string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	const most = 2000
	switch accepted := f.times[nameOf(proof)] > 0; {
	case accepted && len(f.proofs) < most:
		f.proofs = append(f.proofs, proof)
	case accepted:
		f.proofs[rand.IntN(most)] = proof
	}
	old := []string{proof}
	if n := len(f.proofs); n > 0 {
		old[0] = f.proofs[rand.IntN(n)]
	}
	if n := len(f.held); n > 0 {
		old = append(old, f.held[rand.IntN(n)])
	}
	return old
}

// hold lets the proofs that are remembered now be sent again until the end, however many come after them: those that the
// servers are about to forget are among them.
func (f *fleet) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = slices.Clone(f.proofs)
}

func (f *fleet) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.history)
}

// accepted says how many proofs were, and whether one was twice.
func (f *fleet) accepted() (n int, twice bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.times), f.twice
}

// accepts waits until some more new proofs are accepted.
func (f *fleet) accepts(more int, when string) {
	f.t.Helper()
	before, _ := f.accepted()
	f.until(when, func() bool { n, twice := f.accepted(); return twice || n >= before+more })
}

func (f *fleet) until(what string, happened func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Errorf("did not happen: %s", what)
			return
		}
	}
}

// run lets the instances work while they come to harm, and returns whether the history is one of a set that may only
// refuse. If it is not, the picture of where is in a file. With a defect it goes on until that shows.
func (f *fleet) run(calls int, planted bool, harm func()) bool {
	f.t.Helper()
	ctx, done := context.WithCancel(f.t.Context())
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() { f.work(ctx, calls) })
	}
	f.accepts(50, "proofs are accepted before any harm")
	harm()
	f.accepts(50, "proofs are accepted after it")
	if planted {
		f.until("a proof is accepted twice", func() bool { _, twice := f.accepted(); return twice })
	}
	done()
	workers.Wait()
	result, info := porcupine.CheckOperationsVerbose(histories.Set, f.suspects(), time.Minute)
	f.t.Logf("%d calls, %d proofs accepted: %s", f.count(), len(f.times), result)
	if result == porcupine.Unknown {
		f.t.Error("the check was not finished")
	}
	if result == porcupine.Illegal {
		file := f.picture()
		if err := porcupine.VisualizePath(histories.Set, info, file); err != nil {
			f.t.Error(err)
		}
		f.t.Logf("where not: %s", file)
	}
	return result == porcupine.Ok
}

// suspects is the history, or if a part of it is impossible, the first such part, of which a picture can be drawn.
func (f *fleet) suspects() []porcupine.Operation {
	for _, part := range histories.Set.Partition(f.history) {
		if !porcupine.CheckOperations(histories.Set, part) {
			slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
			return part
		}
	}
	return f.history
}

// dirEnv is the folder for the pictures. Without it they go with the test.
const dirEnv = "SENDERLOCK_HISTORIES_DIR"

func (f *fleet) picture() string {
	dir := os.Getenv(dirEnv)
	if dir == "" {
		dir = f.t.TempDir()
		f.t.Logf("the picture goes with the test: give a folder in %s to keep it", dirEnv)
	}
	return filepath.Join(dir, strings.NewReplacer("/", "_", " ", "_").Replace(f.t.Name())+".html")
}

// callsEnv is how many calls each history has at least; a million in all are a full run.
const callsEnv = "SENDERLOCK_HISTORIES_CALLS"

func callCount(t *testing.T) int {
	s := cmp.Or(os.Getenv(callsEnv), "1000")
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
