package revocation

import (
	"sync"
	"time"
)

// clock is the wall clock, and how far it can be believed when it says that something is over. A clock that was set
// forward by mistake must not make a store drop what is needed when it is right again.
type clock struct {
	now       func() time.Time
	monotonic func() time.Duration
	// patience is for how long a clock that was set forward is not believed: by then whatever mattered before is over,
	// however the time is.
	patience time.Duration

	mu     sync.Mutex
	last   time.Duration // the last reading of the monotonic one
	agreed time.Time     // what the two agreed upon then
	ahead  bool          // the wall clock is ahead of that
	since  time.Duration // when that was found
}

// tolerance is by how much the wall clock may gain upon the monotonic one between two readings.
const tolerance = time.Second

func newClock(now func() time.Time, s span) *clock {
	start := now()
	return &clock{
		now:       now,
		monotonic: func() time.Duration { return now().Sub(start) },
		patience:  time.Duration(s.lifetime+2*s.leeway+1) * time.Second,
		agreed:    start.Round(0),
	}
}

// resume says in which second the store was last at work. What the clock shows beyond is a jump.
func (c *clock) resume(second int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := time.Unix(second, 0); at.Before(c.agreed) {
		c.agreed = at
	}
}

// over returns the second up to which what has ended can be dropped: that of the wall clock, where the monotonic clock
// agrees.
func (c *clock) over() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, elapsed := c.now().Round(0), c.monotonic()
	expected := c.agreed.Add(elapsed - c.last)
	before := c.ahead
	if c.ahead = wall.Sub(expected) > tolerance; c.ahead && !before {
		c.since = elapsed
	}
	if c.ahead && elapsed-c.since < c.patience {
		wall = expected
	}
	c.last, c.agreed = elapsed, wall
	return floor(wall)
}

// reading returns what over returned last. It asks no clock, which may panic.
func (c *clock) reading() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return floor(c.agreed)
}
