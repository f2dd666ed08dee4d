//go:build unix

package prompt_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/leaktest"
)

// TestMain lets the test binary be a program on a terminal, or on none, or the
// shell that runs it.
func TestMain(m *testing.M) {
	switch role := os.Getenv("PROXYAUTH_TEST_PROMPT"); role {
	case "":
		os.Exit(leaktest.Run(m))
	case "shell":
		fmt.Print(runInBackground())
	default:
		beProgram(role)
	}
}

// runInBackground runs the program as a shell does a job with &, and returns how
// it ended if that was not of its own accord.
func runInBackground() string {
	cmd := command(context.Background(), "program")
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err.Error()
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil {
		return err.Error()
	}
	if status.Stopped() {
		cmd.Process.Kill()
		return "stopped: " + status.StopSignal().String()
	}
	return ""
}

func program(t *testing.T) *exec.Cmd { return command(t.Context(), "program") }

// command is the test binary in one of its roles.
func command(ctx context.Context, role string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, exe)
	// The race detector would wait for a second before the process ends.
	cmd.Env = append(os.Environ(), "PROXYAUTH_TEST_PROMPT="+role, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// The controlling terminal is asked, even if the standard files are pipes.
func TestAsksOnTheControllingTerminal(t *testing.T) {
	p := newPerson(t)
	cmd := program(t)
	var output strings.Builder
	cmd.Stdin, cmd.Stdout = strings.NewReader("from the pipe\r"), &output
	cmd.Stderr = p.line
	cmd.SysProcAttr = controlledBy(2)
	require.NoError(t, cmd.Start())
	p.sees("Password for ann: ")
	p.types("s3cret\r")
	require.NoError(t, cmd.Wait())
	require.Equal(t, "[6 <nil>]\n", output.String())
}

func TestHasNoneWithoutATerminal(t *testing.T) {
	cmd := program(t)
	cmd.SysProcAttr = controlledBy(-1)
	output, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, "[0 proxyauth: no credentials: prompt: there is no terminal to ask on]\n", string(output))
}

// In the background, touching the terminal would stop the program.
func TestHasNoneInTheBackground(t *testing.T) {
	p := newPerson(t)
	cmd := command(t.Context(), "shell")
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, p.line
	cmd.SysProcAttr = controlledBy(2)
	require.NoError(t, cmd.Run())
	require.Equal(t, "[0 proxyauth: no credentials: prompt: there is no terminal to ask on: the program runs in the background]\n", output.String())
	p.requireTerminalAsBefore()
}

// controlledBy makes a session of its own, whose terminal is the child's file fd
// if there is such.
func controlledBy(fd int) *syscall.SysProcAttr {
	if fd < 0 {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: fd}
}
