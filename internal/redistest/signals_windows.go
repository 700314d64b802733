package redistest

import "syscall"

// No process can be halted there, and no Redis runs there.
const stop, cont = syscall.Signal(0), syscall.Signal(0)
