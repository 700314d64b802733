package senderlocktest

import (
	"sync"
	"time"
)

// Now is the time that a new [Clock] shows.
var Now = time.Date(2030, time.January, 1, 12, 0, 0, 0, time.UTC)

// Clock is a clock that moves when it is told to. It is safe for concurrent use. Make one with [NewClock].
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that shows [Now].
func NewClock() *Clock { return &Clock{now: Now} }

// Now is for [access.Config.Now].
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
