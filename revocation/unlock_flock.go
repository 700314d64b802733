//go:build unix && !solaris && !aix && !android

package revocation

import (
	"os"
	"syscall"
)

// unlock takes off the lock of bbolt. It would outlive the closing of the file, which the memory map keeps open.
func unlock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }
