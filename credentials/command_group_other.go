//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package credentials

import "os/exec"

// A group is a program alone: what it has started is not known here.
type group struct{ cmd *exec.Cmd }

func newGroup(cmd *exec.Cmd) *group { return &group{cmd} }

// terminate ends the program. Windows has no SIGTERM.
func (g *group) terminate() error { return g.cmd.Process.Kill() }

func (g *group) kill() {}
