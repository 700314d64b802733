package senderlocktest

import (
	"sync"
	"time"
)

// Clock is a clock that moves when it is told to. It is safe for concurrent use. Make one with [NewClock].
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that shows when it was made, in whole seconds, as tokens have them. So it agrees with whatever
// goes by the time of day: a certificate of yours, a handler that compares with [time.Now].
func NewClock() *Clock { return NewClockAt(time.Now().UTC().Truncate(time.Second)) }

// NewClockAt makes a clock that shows t, for tests in which dates are written down.
func NewClockAt(t time.Time) *Clock { return &Clock{now: t} }

// Now is what the clock shows: for [access.Config.Now], and for every other setting of that name.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, back too.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
