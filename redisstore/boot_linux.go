package redisstore

import (
	"time"

	"golang.org/x/sys/unix"
)

// elapsed is a clock that nobody sets and that runs while the machine sleeps, which Go's monotonic one does not.
func elapsed() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // cannot fail since Linux 2.6.39
	return time.Duration(t.Nano())
}
