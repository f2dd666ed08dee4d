//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package credentials

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"unsafe"
)

// A group is a program and the processes that it has started. They are a process group
// of their own, which ends as one, unless the program may ask on the terminal: the
// terminal stops all groups but one that read from it.
type group struct {
	cmd *exec.Cmd
	own bool
}

// newGroup returns the group of a program that is yet to start.
func newGroup(cmd *exec.Cmd) *group {
	g := &group{cmd: cmd, own: !inForeground()}
	if g.own {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	cmd.Cancel = g.terminate
	return g
}

// run runs the program, and ends what is left of the group where ctx has ended.
func (g *group) run(ctx context.Context) error {
	err := g.cmd.Run()
	if ctx.Err() != nil {
		g.kill()
	}
	return err
}

// terminate asks the group to end. git hands SIGTERM on to its helper, but can't hand on
// SIGKILL.
func (g *group) terminate() error { return g.signal(syscall.SIGTERM) }

// kill ends what is left of the group.
func (g *group) kill() {
	if g.cmd.Process != nil && g.own {
		g.signal(syscall.SIGKILL)
	}
}

func (g *group) signal(s syscall.Signal) error {
	if !g.own {
		return g.cmd.Process.Signal(s)
	}
	err := syscall.Kill(-g.cmd.Process.Pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// inForeground reports whether this process may read from a terminal.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	var foreground int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, tty.Fd(), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&foreground)))
	return errno == 0 && int(foreground) == syscall.Getpgrp()
}
