//go:build unix

package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// onTerminal runs the command with a terminal, on which the lines given are typed once the text
// before each is there, and returns what it shows.
func onTerminal(t *testing.T, c command, env []string, typed ...[2]string) (shown string) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, c.args...)
	home := t.TempDir()
	cmd.Env = append([]string{
		asCommand + "=1", "TERM=xterm", "HOME=" + home, "NETRC=" + home + "/netrc", "DBUS_SESSION_BUS_ADDRESS=unix:path=" + home + "/bus",
	}, env...)
	terminal, err := pty.Start(cmd)
	require.NoError(t, err)
	defer terminal.Close()
	var text strings.Builder
	for _, line := range typed {
		for b := make([]byte, 1); !strings.HasSuffix(text.String(), line[0]); {
			n, err := terminal.Read(b)
			require.NoError(t, err, "%s", text.String())
			text.Write(b[:n])
		}
		_, err := io.WriteString(terminal, line[1]+"\r")
		require.NoError(t, err)
	}
	io.Copy(&text, terminal) // until the command ends, which is an error on a terminal
	cmd.Wait()
	scanned.Text(t.Name(), text.String())
	return text.String()
}

func TestColours(t *testing.T) {
	t.Parallel()
	l := newLab(t, openProxy(nil), newAccounts())
	c := l.doctor("", l.target(forward, "/"))
	require.Contains(t, onTerminal(t, c, nil), "\x1b[32mok\x1b[0m    proxy")
	require.NotContains(t, onTerminal(t, c, []string{"NO_COLOR=1"}), "\x1b[")
	require.NotContains(t, onTerminal(t, c, []string{"TERM=dumb"}), "\x1b[")
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, basicProxy(users), users)
	c := l.doctor("", l.target(forward, "/"))
	shown := onTerminal(t, c, nil, [2]string{"User name: ", user}, [2]string{"Password for ann: ", password})
	require.Contains(t, shown, "user ann, from prompt")
	require.Contains(t, shown, "(works)")
}

// Ctrl-C ends it with what was found out by then.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	asked := make(chan struct{}, 8)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if n, _ := conn.Read(make([]byte, 1)); n == 1 {
					asked <- struct{}{}
				}
				io.Copy(io.Discard, conn) // and no answer
			}()
		}
	}()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "doctor", "-timeout", "1m", "-proxy", ln.Addr().String(), outside)
	cmd.Env = []string{asCommand + "=1", "HOME=" + t.TempDir()}
	var shown strings.Builder
	cmd.Stdout = &shown
	require.NoError(t, cmd.Start())
	<-asked
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFinding, cmd.ProcessState.ExitCode())
	require.Contains(t, shown.String(), "accepts connections")
	require.Contains(t, shown.String(), "(cancelled)")
}
