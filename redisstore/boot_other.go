//go:build !linux

package redisstore

import "time"

var started = time.Now()

// elapsed is a clock that runs while the machine sleeps. Elsewhere than on Linux it is the later of the monotonic clock,
// which may stand still then, and the wall clock, which may be set: a lease can end too early, which is safe, and too
// late only if the machine sleeps while its clock is set back.
func elapsed() time.Duration {
	now := time.Now()
	return max(now.Sub(started), now.Round(0).Sub(started.Round(0)))
}
