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

	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

// TestMain lets the test binary be a program on a terminal, or on none.
func TestMain(m *testing.M) {
	if os.Getenv("PROXYAUTH_TEST_PROMPT") == "" {
		os.Exit(m.Run())
	}
	c, err := new(prompt.Provider).Credentials(context.Background(), request("ann"))
	fmt.Printf("[%d %v]\n", len(c.Password.Reveal()), err)
}

func program(t *testing.T) *exec.Cmd {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	// The race detector would wait for a second before the process ends.
	cmd.Env = append(os.Environ(), "PROXYAUTH_TEST_PROMPT=1", "GORACE=atexit_sleep_ms=0")
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

// controlledBy makes a session of its own, whose terminal is the child's file fd
// if there is such.
func controlledBy(fd int) *syscall.SysProcAttr {
	if fd < 0 {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: fd}
}
