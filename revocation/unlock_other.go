//go:build !unix || solaris || aix || android

package revocation

import "os"

// unlock does nothing: the lock of bbolt ends when the file is closed.
func unlock(*os.File) error { return nil }
