package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

// AtClock gives a store a clock of the test's. The servers then seem to show the same time.
func AtClock(c *Config, now func() time.Time) {
	c.Now = now
	c.offset = func() time.Duration { return time.Until(now()) }
}

// WithElapsed gives a store a clock that runs during suspend.
func WithElapsed(c *Config, f func() time.Duration) { c.elapsed = f }

// WithLease makes a renewal good for some time. The default is for servers that fail, not for machines that are busy.
func WithLease(c *Config, d time.Duration) { c.lease = d }

// WithRenewal lets a store renew its lease that often, so that another one, which waits for that, arrives soon.
func WithRenewal(c *Config, d time.Duration) { c.renewal = d }

// Renew renews the lease now.
func Renew(s *Store) error { return s.renew(context.Background(), s.config.Timeout) }

// Leased reports whether a lease was given.
func Leased(c *Config) bool { return c.lease != 0 }

// Step is a step that an instance took by a rule of the protocol. DONE is a claim that was fresh, NOT DONE one that was
// used, or a look-up; OTHER and LATE are calls of which nothing is believed.
type Step = step

// WithTrace tells of each step.
func WithTrace(c *Config, f func(Step)) { c.trace = f }

// ClaimCommand is the command with which a store makes a claim, of the key and with the time to live that are given.
func ClaimCommand(s *Store, key string, life time.Duration) []string {
	b := s.buckets[0]
	e := b.epoch.Load()
	return []string{
		"EVALSHA", e.script, "2", b.key, key, "call", e.marker.name, e.marker.count, strconv.FormatInt(life.Milliseconds(), 10),
	}
}

// ScriptName is the name of the script of an epoch.
func ScriptName(id string) string { return nameOf(id) }

// TellEverywhere calls a function in place of what a revocation does in each region, once the way there is open.
func TellEverywhere(s *Store, ctx context.Context, tell func(region string, ctx context.Context) error) []Held {
	return s.tellEverywhere(ctx, revocation.Entry{}, func(there *Store, ctx context.Context, _ revocation.Entry) error {
		return tell(there.config.Region, ctx)
	})
}

// Elapsed is the clock that runs during suspend.
func Elapsed() time.Duration { return elapsed() }
