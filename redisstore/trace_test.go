package redisstore_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/internal/spintest"
	"github.com/senderlock/senderlock/redisstore"
)

// event is what an instance was seen to do: a rule that it followed, or ACCEPT of a proof.
type event struct {
	rule       string
	who, proof int
}

// recording is a run of up to three instances with up to two proofs, in the order in which things happened.
type recording struct {
	mu     sync.Mutex
	events []event
}

func (r *recording) add(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recording) has(rule string, who, times int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.rule == rule && e.who == who {
			times--
		}
	}
	return times <= 0
}

// recordedInstance is one of a run.
type recordedInstance struct {
	run   *recording
	who   int
	store *redisstore.Store
	*dpop.Verifier
}

func (r *recording) open(t *testing.T, who int, c redisstore.Config) *recordedInstance {
	t.Helper()
	redisstore.WithTrace(&c, func(s redisstore.Step) {
		if slices.Contains([]string{"JOIN", "FOUND", "ADOPT", "ALONE", "END"}, s.Rule) {
			r.add(event{s.Rule, who, 0})
		}
	})
	store := open(t, c)
	v, err := dpop.New(dpop.Config{
		Origins: []string{"https://api.example.com"}, Replay: store, Nonces: dpop.Nonces{Secrets: secrets}, Skew: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return &recordedInstance{r, who, store, v}
}

// close is a step of the run as well: the instance knows of no epoch any more.
func (i *recordedInstance) close() {
	_ = i.store.Close()
	i.run.add(event{"END", i.who, 0})
}

// send sends a proof, whose number is n.
func (i *recordedInstance) send(proof string, n int) bool {
	r, _ := http.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
	r.Host, r.RequestURI = "api.example.com", "/accounts"
	r.Header.Set("DPoP", proof)
	_, err := i.Verify(r, "")
	if err == nil {
		i.run.add(event{"ACCEPT", i.who, n})
	}
	return err == nil
}

// accept sends a new proof, until it is accepted.
func (i *recordedInstance) accept(t *testing.T, n int) (proof string) {
	t.Helper()
	redistest.Wait(t, "a proof is accepted", func() bool {
		proof = poptest.Proof{URL: "https://api.example.com/accounts", Nonce: i.Nonce(), IssuedAt: time.Now()}.String()
		return i.send(proof, n)
	})
	return proof
}

// rules are what the model calls the events.
var rules = map[string]int{"JOIN": 1, "FOUND": 2, "ADOPT": 3, "ALONE": 4, "END": 5, "ACCEPT": 6}

// isRun reports whether the model, as a checker of recorded runs, can do what was recorded.
func isRun(t *testing.T, model *spintest.Checker, events []event) bool {
	t.Helper()
	trace := "TRACE="
	for _, e := range events {
		trace += fmt.Sprintln(rules[e.rule], e.who, e.proof)
	}
	out := model.Search(t, trace)
	if strings.Contains(out, "accepted") || strings.Contains(out, "memory limit") {
		t.Fatalf("the search failed:\n%s", out)
	}
	return strings.Contains(out, "assertion violated (at<")
}

func checker(t *testing.T) *spintest.Checker {
	t.Helper()
	return spintest.Compile(t, "model/epochs.pml", spintest.Little, "TRACE", "PROOFS=2")
}

// Recorded runs of the real store at real servers are runs of the model.
func TestRunsAreOfTheModel(t *testing.T) {
	t.Parallel()
	model := checker(t)
	for name, run := range map[string]func(t *testing.T, r *recording){
		"a server is started anew": func(t *testing.T, r *recording) {
			server := redistest.Start(t)
			c := redisstore.Config{Addresses: []string{server.Addr}, MaxSkew: time.Millisecond}
			one := r.open(t, 0, c)
			p := one.accept(t, 0)
			two := r.open(t, 1, c)
			two.send(p, 0)
			q := two.accept(t, 1)
			two.close()
			server.Kill()
			server.Restart()
			redistest.Wait(t, "the first founds another epoch", func() bool {
				one.send(p, 0)
				return r.has("FOUND", 0, 2)
			})
			three := r.open(t, 2, c)
			for _, i := range []*recordedInstance{one, three} {
				i.send(p, 0)
				i.send(q, 1)
			}
			three.close()
		},
		"alone, and a failover of Sentinel": func(t *testing.T, r *recording) {
			a := redistest.Start(t)
			b := redistest.Replica(t, a)
			c := redisstore.Config{
				Addresses: redistest.Sentinels(t, a, 3, 1), Master: "main", Timeout: 3 * time.Second, MaxSkew: time.Millisecond,
			}
			one := r.open(t, 0, c)
			two := r.open(t, 1, c)
			p := two.accept(t, 0)
			two.close()
			one.close()
			three := r.open(t, 2, c)
			redistest.Wait(t, "the third goes on alone", func() bool { return r.has("ALONE", 2, 1) })
			three.send(p, 0)
			q := three.accept(t, 1)
			a.Do("CLIENT", "KILL", "TYPE", "replica")
			a.Stop()
			redistest.Hasten(t, c.Addresses...)
			redistest.Wait(t, "the third founds an epoch at the second", func() bool {
				three.send(p, 0)
				return r.has("FOUND", 2, 1)
			})
			if !isMaster(b) {
				t.Error("the second is no master")
			}
			three.send(q, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recording{}
			run(t, r)
			r.mu.Lock()
			defer r.mu.Unlock()
			if !isRun(t, model, r.events) {
				t.Errorf("the model cannot do this: %v", r.events)
			}
			t.Log(r.events)
			// Whoever founds again has left what it was in: here at last, and right before.
			last := len(r.events) - 1
			for r.events[last].rule != "FOUND" {
				last--
			}
			if without := slices.Delete(slices.Clone(r.events), last-1, last); isRun(t, model, without) {
				t.Errorf("the model can do this without the end of an epoch too: %v", without)
			}
		})
	}
}

// What the model cannot do is found.
func TestNoRunsOfTheModel(t *testing.T) {
	t.Parallel()
	model := checker(t)
	for name, events := range map[string][]event{
		"joined before one founded":   {{"JOIN", 0, 0}},
		"accepted twice":              {{"FOUND", 0, 0}, {"ACCEPT", 0, 0}, {"ACCEPT", 0, 0}},
		"accepted by a second":        {{"FOUND", 0, 0}, {"ACCEPT", 0, 0}, {"JOIN", 1, 0}, {"ADOPT", 1, 0}, {"ACCEPT", 1, 0}},
		"adopted without having seen": {{"FOUND", 0, 0}, {"ADOPT", 1, 0}},
		"accepted in no epoch":        {{"FOUND", 0, 0}, {"END", 0, 0}, {"ACCEPT", 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if isRun(t, model, events) {
				t.Errorf("the model can do this: %v", events)
			}
			if !isRun(t, model, events[:len(events)-1]) && len(events) > 1 {
				t.Errorf("nor what comes before")
			}
		})
	}
}
