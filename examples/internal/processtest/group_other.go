//go:build !unix

package processtest

import "os/exec"

func asGroup(*exec.Cmd) {}

func kill(c *exec.Cmd) { _ = c.Process.Kill() }
