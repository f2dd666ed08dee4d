//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package credentials_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

func init() {
	moreHelpers = map[string]func(){
		"family": beFamily,
		"child":  beChild,
		"asks":   askOnTheTerminal,
	}
}

// beFamily starts five programs, of which some do not want to end, and waits.
func beFamily() {
	for n := range 5 {
		child := exec.Command(os.Args[0], fmt.Sprint(n))
		child.Env = append(os.Environ(), "PROXYAUTH_TEST_HELPER=child")
		if err := child.Start(); err != nil {
			panic(err)
		}
	}
	time.Sleep(time.Minute)
}

// beChild keeps the pipe open until it ends.
func beChild() {
	if os.Args[1] > "2" {
		signal.Ignore(syscall.SIGTERM)
	}
	alive, err := os.OpenFile(os.Getenv("ALIVE"), os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	defer alive.Close()
	note("child is there\n")
	time.Sleep(time.Minute)
}

// askOnTheTerminal takes the password from the person at the terminal.
func askOnTheTerminal() {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	fmt.Fprint(tty, "What is it? ")
	line, _ := bufio.NewReader(tty).ReadString('\n')
	fmt.Printf("username=ann\npassword=%s\n", strings.TrimSpace(line))
}

// inSession runs the test named in a session of its own, with a terminal if there is
// one. It reports whether this is the process that does so.
func inSession(t *testing.T, terminal *os.File) (ran bool) {
	t.Helper()
	const mark = "PROXYAUTH_TEST_SESSION"
	if os.Getenv(mark) == t.Name() {
		return false
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.Stdin = terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: terminal != nil}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: "+t.Name())
	return true
}

// What a program has started ends with it, whether it takes too long or its request ends.
func TestCommandEndsWithAllThatItHasStarted(t *testing.T) {
	if inSession(t, nil) {
		return
	}
	fifo := filepath.Join(t.TempDir(), "alive")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	alive, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer alive.Close()

	command := helper(t, "family", "ALIVE="+fifo)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := command.Credentials(ctx, request(t, proxyText))
		done <- err
	}()
	require.Eventually(t, func() bool { return strings.Count(logged(command), "child is there") == 5 }, 30*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, alive.SetReadDeadline(time.Now().Add(30*time.Second)))
	_, err = io.ReadAll(alive)
	require.NoError(t, err, "some are still there")
}

// A helper may ask the person at the terminal, as that of git does.
func TestCommandMayAskOnTheTerminal(t *testing.T) {
	if os.Getenv("PROXYAUTH_TEST_SESSION") == t.Name() {
		c, err := helper(t, "asks").Credentials(t.Context(), request(t, proxyText))
		requireCredentials(t, "ann", "s3cret", c, err)
		return
	}
	screen, terminal, err := pty.Open()
	require.NoError(t, err)
	defer screen.Close()
	defer terminal.Close()
	go func() {
		shown := bufio.NewReader(screen)
		if _, err := shown.ReadString('?'); err == nil {
			io.WriteString(screen, "s3cret\n")
			io.Copy(io.Discard, shown)
		}
	}()
	inSession(t, terminal)
}
