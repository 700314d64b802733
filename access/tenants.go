package access

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/senderlock/senderlock/internal/recent"
	"github.com/senderlock/senderlock/internal/setting"
)

// The settings of a zero [Tenants].
const (
	defaultTenantsPerSecond = 10
	defaultTenantLifetime   = 5 * time.Minute
	defaultMostTenants      = 1000
	defaultMostStrangers    = 10_000

	maxIssuer = 1024 // octets
)

// Tenants are issuers that are looked up when the first token of theirs comes, for an API of many. Whoever writes a token
// chooses its iss, before any signature: so an issuer is fetched from over https alone, also on this machine, and from
// public addresses alone; look-ups are limited; and no flood of unknown issuers pushes out those that are known.
type Tenants struct {
	// Find returns the settings of the issuer whose identifier is iss, or nil if it is nobody's: what is then told is what
	// an issuer that is not on the list is told. Its URL must equal iss octet for octet. An error is our own trouble, 503.
	// It has five seconds, and is called by several goroutines at once, for different issuers. Required.
	Find func(ctx context.Context, iss string) (*Issuer, error)
	// Lifetime is for how long an answer of Find is good: then it is asked again before another token of that issuer is
	// accepted, cached ones included, and one that is no tenant any more takes its cached tokens along. Zero means five
	// minutes; a second is the least, a day the most.
	Lifetime time.Duration
	// PerSecond is how many look-ups of issuers that are not known there are in a second; beyond it the answer is 503. It
	// does not hold up known ones. Zero means 10.
	PerSecond int
	// Most is how many tenants are known at a time, each with its keys; the one that was used least recently makes room,
	// and is looked up again. Zero means 1,000.
	Most int
	// MostStrangers is for how many issuers it is remembered, for a Lifetime, that they are nobody's. Zero means 10,000.
	MostStrangers int
	// InsecurePrivateAddresses lets issuers be fetched from addresses that are not public. Whoever is asked to set up a
	// tenant can then have this server ask the network that it stands in.
	InsecurePrivateAddresses bool
}

func (t *Tenants) settle(config *Config) error {
	if t.Find == nil {
		return errors.New("Tenants.Find is nil: give the function that knows the issuers of tenants")
	}
	if !t.InsecurePrivateAddresses {
		trial := Issuer{URL: "https://login.example.com", Audience: "x"}
		made, err := config.issuer(trial, t)
		if err != nil {
			return fmt.Errorf("%w, or set Tenants.InsecurePrivateAddresses", err)
		}
		_ = made.keys.Close()
	}
	return errors.Join(
		setting.Between("Tenants.Lifetime", &t.Lifetime, defaultTenantLifetime, time.Second, 24*time.Hour),
		setting.Between("Tenants.PerSecond", &t.PerSecond, defaultTenantsPerSecond, 1, 100_000),
		setting.Between("Tenants.Most", &t.Most, defaultMostTenants, 1, 1_000_000),
		setting.Between("Tenants.MostStrangers", &t.MostStrangers, defaultMostStrangers, 1, 10_000_000),
	)
}

// tenants is what Tenants has found.
type tenants struct {
	Tenants
	config *Config
	now    func() time.Time
	flight singleflight.Group

	mu        sync.Mutex
	closed    bool
	known     *recent.Map[string, *tenant]
	strangers *recent.Map[string, time.Time] // until when that is good
	second    time.Time                      // in which lookups were begun
	lookups   int
	closing   sync.WaitGroup
}

// tenant is what one answer of Find said. It is never changed: the next answer makes another, perhaps of the same keys.
type tenant struct {
	*issuer
	found Issuer // as Find returned it
	until time.Time
}

func newTenants(settings Tenants, config *Config, now func() time.Time) *tenants {
	return &tenants{
		Tenants: settings, config: config, now: now,
		known: recent.New[string, *tenant](settings.Most), strangers: recent.New[string, time.Time](settings.MostStrangers),
	}
}

// issuer returns the issuer of a token, and how to ask later whether it is one still. It returns [ErrTokenIssuer].
func (t *tenants) issuer(ctx context.Context, iss string) (*issuer, func() bool, error) {
	if !nameable(iss) {
		return nil, nil, ErrTokenIssuer.With("the https URL of an issuer", iss)
	}
	found, stranger := t.recall(iss)
	if found == nil && !stranger {
		var err error
		if found, err = t.find(ctx, iss); err != nil {
			return nil, nil, err
		}
	}
	if found == nil {
		return nil, nil, ErrTokenIssuer.With("a tenant", iss)
	}
	return found.issuer, func() bool { return t.holds(iss, found) }, nil
}

// nameable reports whether iss can be that of a tenant (RFC 8414 §2).
func nameable(iss string) bool {
	if len(iss) > maxIssuer {
		return false
	}
	u, err := url.Parse(iss)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && !u.ForceQuery &&
		u.Fragment == "" && u.String() == iss
}

// recall returns what is known of an issuer: neither, if it has to be looked up.
func (t *tenants) recall(iss string) (found *tenant, stranger bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.known.Get(iss); ok && t.now().Before(found.until) {
		return found, false
	}
	until, _ := t.strangers.Get(iss)
	return nil, t.now().Before(until)
}

// holds reports whether an answer is good still.
func (t *tenants) holds(iss string, found *tenant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, _ := t.known.Get(iss)
	return now == found && t.now().Before(found.until)
}

// find asks Find, once for all that wait, and nobody's context but its own ends that.
func (t *tenants) find(ctx context.Context, iss string) (*tenant, error) {
	asking := context.WithoutCancel(ctx)
	question := t.flight.DoChan(iss, func() (any, error) {
		if found, stranger := t.recall(iss); found != nil || stranger { // another request was faster
			return found, nil
		}
		return t.lookUp(asking, iss)
	})
	got, err := await(ctx, question, lookupLimit, errTenants)
	found, _ := got.(*tenant)
	return found, err
}

// lookUp calls Find and remembers what it says. It returns nil for an issuer that is nobody's.
func (t *tenants) lookUp(ctx context.Context, iss string) (*tenant, error) {
	if !t.mayAsk(iss) {
		return nil, errTenants.Because(fmt.Errorf("more than %d unknown issuers in a second: raise Tenants.PerSecond if they are tenants", t.PerSecond))
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	var settings *Issuer
	err := guarded("Tenants.Find", func() (err error) {
		settings, err = t.Find(ctx, iss)
		return err
	})
	if err != nil {
		return nil, errTenants.Because(err)
	}
	if settings == nil || settings.URL != iss {
		t.forget(iss)
		return nil, nil
	}
	return t.learn(iss, *settings)
}

// mayAsk counts the look-ups of this second. One that is known is always asked about.
func (t *tenants) mayAsk(iss string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.known.Peek(iss); ok {
		return true
	}
	if since := t.now().Sub(t.second); since < 0 || since >= time.Second {
		t.second, t.lookups = t.now(), 0
	}
	t.lookups++
	return t.lookups <= t.PerSecond
}

// forget remembers that an issuer is nobody's, or no longer somebody's.
func (t *tenants) forget(iss string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if gone, ok := t.known.Peek(iss); ok {
		t.known.Remove(iss)
		t.close(gone)
	}
	t.strangers.Add(iss, t.now().Add(t.Lifetime))
}

// learn remembers a tenant. One whose settings are what they were keeps its keys.
func (t *tenants) learn(iss string, settings Issuer) (*tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errTenants.Because(errors.New("the Guard is closed"))
	}
	found := &tenant{found: settings.copied(), until: t.now().Add(t.Lifetime)}
	before, ok := t.known.Peek(iss)
	if ok && reflect.DeepEqual(before.found, settings) {
		found.issuer = before.issuer
	} else {
		made, err := t.config.issuer(settings, &t.Tenants)
		if err != nil {
			return nil, errTenants.Because(fmt.Errorf("Tenants.Find returned an Issuer: %w", err))
		}
		if found.issuer = made; ok {
			t.close(before)
		}
	}
	if oldest, gone, _ := t.known.Oldest(); !ok && t.known.Len() == t.Most {
		t.known.Remove(oldest)
		t.close(gone)
	}
	t.known.Add(iss, found)
	return found, nil
}

// close ends the fetching of a tenant's keys, which nobody waits for before all ends.
func (t *tenants) close(gone *tenant) {
	t.closing.Go(func() { _ = gone.keys.Close() })
}

func (t *tenants) closeAll() error {
	t.mu.Lock()
	t.closed = true
	for iss, gone, ok := t.known.Oldest(); ok; iss, gone, ok = t.known.Oldest() {
		t.known.Remove(iss)
		t.close(gone)
	}
	t.mu.Unlock()
	t.closing.Wait()
	return nil
}
