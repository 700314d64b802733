//go:build unix

package processtest

import (
	"os/exec"
	"syscall"
)

// asGroup lets the children of a script be killed with it.
func asGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func kill(c *exec.Cmd) { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
