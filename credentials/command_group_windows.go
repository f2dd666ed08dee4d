package credentials

import (
	"context"
	"os/exec"
	"syscall"
)

// What package syscall lacks. golang.org/x/sys/windows is not for importers of this package.
var (
	kernel32                 = syscall.NewLazyDLL("kernel32.dll")
	createJobObject          = kernel32.NewProc("CreateJobObjectW")
	assignProcessToJobObject = kernel32.NewProc("AssignProcessToJobObject")
	terminateJobObject       = kernel32.NewProc("TerminateJobObject")
)

// A group is a program and the processes that it has started. They are a job, which ends as
// one; what the program starts in its first moment, before it is in the job, is not part of it.
type group struct {
	cmd *exec.Cmd
	job uintptr // zero if there is none
}

// newGroup returns the group of a program that is yet to start.
func newGroup(cmd *exec.Cmd) *group {
	g := &group{cmd: cmd}
	cmd.Cancel = g.terminate
	return g
}

// run runs the program, and ends what is left of the group where ctx has ended.
func (g *group) run(ctx context.Context) error {
	// An error, of any of these, leaves the program alone in the group.
	g.job, _, _ = createJobObject.Call(0, 0)
	defer syscall.CloseHandle(syscall.Handle(g.job)) // which ends nothing
	if err := g.cmd.Start(); err != nil {
		return err
	}
	_ = g.cmd.Process.WithHandle(func(process uintptr) {
		assignProcessToJobObject.Call(g.job, process)
	})
	err := g.cmd.Wait()
	if ctx.Err() != nil {
		terminateJobObject.Call(g.job, 1)
	}
	return err
}

// terminate ends the group: Windows has no SIGTERM.
func (g *group) terminate() error {
	err := g.cmd.Process.Kill()
	terminateJobObject.Call(g.job, 1)
	return err
}
