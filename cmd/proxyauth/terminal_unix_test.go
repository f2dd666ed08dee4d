//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/cmd/proxyauth/internal/doctor"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
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

// A password is not read from a terminal that shows it.
func TestNoPasswordFromAVisibleTerminal(t *testing.T) {
	t.Parallel()
	shown := onTerminal(t, command{args: []string{"doctor", "-user", user, "-password-stdin", outside}}, nil)
	require.Contains(t, shown, "standard input is a terminal")
}

// Ctrl-C ends it while a pipe for the password, or for the authorities, has no end.
func TestInterruptOfAFlagsFile(t *testing.T) {
	t.Parallel()
	for desc, args := range map[string][]string{
		"password":    {"doctor", "-user", user, "-password-stdin", outside},
		"authorities": {"doctor", "-ca", "/dev/stdin", outside},
	} {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			require.NoError(t, err)
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer w.Close()
			defer r.Close()
			cmd := exec.CommandContext(t.Context(), program, args...)
			cmd.Env, cmd.Stdin = []string{asCommand + "=1", "HOME=" + t.TempDir()}, r
			stderr, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			// More than fits into a pipe is written only if the command reads it.
			if desc == "authorities" {
				_, err = w.Write(make([]byte, 1<<20))
			} else {
				_, err = io.WriteString(w, "a")
			}
			require.NoError(t, err)
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			text, err := io.ReadAll(stderr)
			require.NoError(t, err)
			require.Error(t, cmd.Wait())
			require.NotContains(t, string(text), "empty")
		})
	}
}

// Ctrl-C at the prompt ends it, and asks nothing again.
func TestInterruptAtThePrompt(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	l := newLab(t, basicProxy(users), users)
	c := l.doctor("", l.target(forward, "/"))
	shown := onTerminal(t, c, nil, [2]string{"User name: ", user}, [2]string{"Password for ann: ", "\x03"})
	require.Contains(t, shown, "(cancelled)")
	require.Equal(t, 1, strings.Count(shown, "Password for ann: "), "%s", shown)
	require.Equal(t, 1, strings.Count(shown, "User name: "), "%s", shown)
	shown = onTerminal(t, c, nil, [2]string{"User name: ", "\x03"})
	require.Contains(t, shown, "(cancelled)")
	require.Equal(t, 1, strings.Count(shown, "User name: "), "%s", shown)
	require.Empty(t, users.Failures(user))
}

// Ctrl-C during a leg says nothing of what would have come of it.
func TestInterruptOfALeg(t *testing.T) {
	t.Parallel()
	for _, w := range []way{forward, tunnel} {
		for _, with := range []string{"", password} {
			t.Run(string(w)+" "+map[bool]string{true: "with a password", false: "without"}[with != ""], func(t *testing.T) {
				t.Parallel()
				users := newAccounts()
				asked := make(chan struct{}, 8)
				var legs atomic.Int64
				config := openProxy(users)
				if with != "" {
					config = basicProxy(users)
				}
				config.Fault = func(leg *testproxy.Leg) *testproxy.Action {
					if with != "" && leg.Scheme == "" || with == "" && legs.Add(1) <= 2 {
						return nil // of the questions before
					}
					asked <- struct{}{}
					return &testproxy.Action{Stall: testproxy.OnRequest}
				}
				l := newLab(t, config, users)
				c := l.doctor(with, l.target(w, "/"), "-timeout", "1m")
				shown, exit := interrupted(t, c, asked)
				require.Equal(t, exitFinding, exit)
				require.Contains(t, shown, "(cancelled)")
				require.NotContains(t, shown, "sign-in")
				require.NotContains(t, shown, "FAIL")

				c.args = append([]string{"doctor", "-json"}, c.args[1:]...)
				legs.Store(0)
				shown, _ = interrupted(t, c, asked)
				var report doctor.Report
				require.NoError(t, json.Unmarshal([]byte(shown), &report))
				require.Equal(t, "cancelled", report.Verdict.Cause)
				require.False(t, report.Attempts[0].OK)
			})
		}
	}
}

// interrupted runs a command, interrupts it when asked says so, and returns what it has shown.
func interrupted(t *testing.T, c command, asked <-chan struct{}) (shown string, exit int) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, c.args...)
	cmd.Env = []string{asCommand + "=1", "HOME=" + t.TempDir()}
	cmd.Stdin = strings.NewReader(c.stdin)
	var out strings.Builder
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	<-asked
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	scanned.Text(t.Name(), out.String())
	return out.String(), cmd.ProcessState.ExitCode()
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
	shown, exit := interrupted(t, command{args: []string{"doctor", "-timeout", "1m", "-proxy", ln.Addr().String(), outside}}, asked)
	require.Equal(t, exitFinding, exit)
	require.Contains(t, shown, "accepts connections")
	require.Contains(t, shown, "(cancelled)")
	require.NotContains(t, shown, "FAIL")
}
