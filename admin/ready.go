package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/revocation"
)

const (
	defaultGrace = 30 * time.Second
	// storeLimit is how long a store may take to answer, and storeFresh for how long its answer counts: whoever asks often
	// costs the stores nothing.
	storeLimit = 2 * time.Second
	storeFresh = time.Second
)

// ReadinessConfig holds the settings of [Readiness]. The zero ReadinessConfig is ready until the end.
type ReadinessConfig struct {
	// Issuers are those whose keys have to have been fetched once before requests are welcome. What happens later is told
	// by metrics: an outage of an issuer must not take all instances out.
	Issuers []string
	// Grace is for how long Issuers are waited for. Zero means 30 s; five minutes are the most.
	Grace time.Duration
	// Stores are asked by name each time, but not more than once a second: [StoreAnswers], or a function of one's own.
	Stores map[string]func(context.Context) error
	// Log hears at Warn why requests are not welcome. Nil means [slog.Default].
	Log *slog.Logger
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// Readiness answers GET /readyz: 200 if requests are welcome, else 503. Whether the process is well is another question,
// which has another answer: a process that is not ready must not be killed for it. It is safe for concurrent use.
type Readiness struct {
	config ReadinessConfig
	began  time.Time

	mu      sync.Mutex
	missing map[string]bool // issuers
	ending  bool

	asking sync.Mutex // one at a time
	asked  time.Time  // when they had answered, or had not
	silent []string   // stores that did not answer then
}

// NewReadiness checks the settings. Its error names the field and what to put there.
func NewReadiness(config ReadinessConfig) (*Readiness, error) {
	if config.Log == nil {
		config.Log = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	err := setting.Between("Grace", &config.Grace, defaultGrace, time.Millisecond, 5*time.Minute)
	for name, ask := range config.Stores {
		if ask == nil {
			err = errors.Join(err, fmt.Errorf("Stores[%q] is nil: give StoreAnswers, or leave it out", name))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("admin.ReadinessConfig: %w", err)
	}
	config.Stores = maps.Clone(config.Stores)
	r := &Readiness{config: config, began: config.Now(), missing: map[string]bool{}}
	for _, issuer := range config.Issuers {
		r.missing[issuer] = true
	}
	return r, nil
}

// StoreAnswers is for [ReadinessConfig].Stores: it asks a store about a token that nobody has, and its error is that of
// the store.
func StoreAnswers(s revocation.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.Revoked(ctx, revocation.Token{Issuer: "readiness", ID: "readiness", Expiry: time.Now().Add(time.Second)})
		return err
	}
}

// Observe returns an Observer that hears of fetches, and tells next everything: Config.Observer of the Guard.
func (r *Readiness) Observe(next access.Observer) access.Observer {
	tell := next.Fetched
	next.Fetched = func(f access.Fetch) {
		if f.Err == nil {
			r.mu.Lock()
			delete(r.missing, f.Issuer)
			r.mu.Unlock()
		}
		if tell != nil {
			tell(f)
		}
	}
	return next
}

// End makes it fail from now on: the process is about to end.
func (r *Readiness) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ending = true
}

// ServeHTTP answers.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	waiting := r.waitingFor(q.Context())
	if len(waiting) == 0 {
		answer(w, map[string]any{"status": "ready"})
		return
	}
	write(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "waiting_for": waiting})
}

// waitingFor names what keeps requests from being welcome.
func (r *Readiness) waitingFor(ctx context.Context) []string {
	r.mu.Lock()
	ending, missing := r.ending, slices.Sorted(maps.Keys(r.missing))
	r.mu.Unlock()
	if ending {
		return []string{"the end"}
	}
	var waiting []string
	if r.config.Now().Sub(r.began) < r.config.Grace {
		for _, issuer := range missing {
			waiting = append(waiting, "keys of "+issuer)
		}
	}
	return append(waiting, r.silentStores(ctx)...)
}

// silentStores names the stores that do not answer, or did not a moment ago.
func (r *Readiness) silentStores(ctx context.Context) []string {
	r.asking.Lock()
	defer r.asking.Unlock()
	if !r.asked.IsZero() && r.config.Now().Sub(r.asked) < storeFresh {
		return r.silent
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	r.silent = nil
	for _, name := range slices.Sorted(maps.Keys(r.config.Stores)) {
		if err := r.config.Stores[name](ctx); err != nil {
			r.config.Log.WarnContext(ctx, "not ready: a store does not answer", "store", name, "cause", err.Error())
			r.silent = append(r.silent, name)
		}
	}
	r.asked = r.config.Now() // who waited while a store was silent takes this answer, and does not ask in turn
	return r.silent
}
