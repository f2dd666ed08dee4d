//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package credentials

import (
	"context"
	"os/exec"
)

// A group is a program alone: what it has started is not known here.
type group struct{ cmd *exec.Cmd }

func newGroup(cmd *exec.Cmd) *group { return &group{cmd} }

func (g *group) run(context.Context) error { return g.cmd.Run() }
