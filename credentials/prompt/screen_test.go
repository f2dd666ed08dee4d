//go:build unix

package prompt_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

const (
	introduction = "Proxy proxy.example.com:3128 asks who you are.\r\n"
	askPassword  = introduction + "Password for ann: "
)

// requireScreen checks what the screen has shown from the beginning.
func (p *person) requireScreen(want string) {
	p.t.Helper()
	p.line.WriteString("the end")
	p.sees("the end")
	require.Equal(p.t, want+"the end", p.shown.String())
}

// However a question ends, nothing of the password is on the screen, and the cursor is at
// the beginning of a line.
func TestScreenWhenTheQuestionEnds(t *testing.T) {
	for desc, end := range map[string]struct {
		keys string
		err  error
	}{
		"answer":           {"s3cret\r", nil},
		"line feed":        {"s3cret\n", nil},
		"Ctrl-C at once":   {"\x03", prompt.ErrCancelled},
		"Ctrl-C":           {"s3c\x03", prompt.ErrCancelled},
		"Ctrl-D":           {"s3c\x04", prompt.ErrCancelled},
		"Ctrl-\\":          {"s3c\x1c", prompt.ErrCancelled},
		"nothing":          {"\r", prompt.ErrCancelled},
		"all erased":       {"s3c\x15\r", prompt.ErrCancelled},
		"more than erased": {"s3c\x7f\x7f\x7f\x7f\x7f\r", prompt.ErrCancelled},
		"context":          {"s3c", errEnded},
	} {
		t.Run(desc, func(t *testing.T) {
			p := newPerson(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := ask(ctx, &prompt.Provider{Device: p.device()}, request("ann"))
			p.sees("Password for ann: ")
			p.types(end.keys)
			if end.err == errEnded {
				cancel(errEnded)
			}
			r := <-done
			if end.err == nil {
				requireCredentials(t, "ann", "s3cret", r)
			} else {
				require.ErrorIs(t, r.err, end.err)
			}
			p.requireTerminalAsBefore()
			p.requireScreen(askPassword + "\r\n")
		})
	}
}

var errEnded = errors.New("the request has ended")

// Each byte that can be typed is text, edits or ends the line, or makes the answer
// refused with the reason. None is dropped in silence: that would be a failed login.
func TestEveryByte(t *testing.T) {
	const notText, notUTF8 = "a key in it that is not text", "not UTF-8"
	for b := range 256 {
		password, problem := "s3"+string(rune(b))+"cret", ""
		switch {
		case b == '\r' || b == '\n':
			password = "s3"
		case b == 'C'-'@' || b == 'D'-'@' || b == '\\'-'@':
			problem = "cancelled by the user"
		case b == 0x7f || b == 'H'-'@':
			password = "scret"
		case b == 'U'-'@' || b == 'W'-'@':
			password = "cret"
		case b < ' ':
			problem = notText
		case b >= 0x80:
			problem = notUTF8
		}
		for _, name := range []string{"ann", ""} {
			t.Run(fmt.Sprintf("%#02x %s", b, name), func(t *testing.T) {
				p := newPerson(t)
				provider := &prompt.Provider{Device: p.device()}
				done := ask(t.Context(), provider, request(name))
				want := askPassword + "\r\n"
				if name == "" {
					p.sees("User name: ")
					p.types("ann\r")
					want = introduction + "User name: ann\r\nPassword for ann: \r\n"
				}
				p.sees("Password for ann: ")
				p.types("s3" + string([]byte{byte(b)}) + "cret\r")
				r := <-done
				if problem == "" {
					requireCredentials(t, "ann", password, r)
				} else {
					require.ErrorContains(t, r.err, problem)
					require.NotErrorIs(t, r.err, proxyauth.ErrNoCredentials)
					require.NotContains(t, r.err.Error(), "cret")
				}
				p.requireTerminalAsBefore()
				if b != '\r' && b != '\n' { // then the rest is the next program's
					p.requireScreen(want)
				}
			})
		}
	}
}

// A user name is shown as it is typed, as far as it is text.
func TestScreenShowsTheUserName(t *testing.T) {
	for _, tt := range []struct{ desc, keys, screen, user, problem string }{
		{"plain", "ann", "ann", "ann", ""},
		{"blanks around", " ann ", " ann ", "ann", ""},
		{"beyond ASCII", "jörg田", "jörg田", "jörg田", ""},
		{"erased", "ax\x7fnn", "ax\r\x1b[KUser name: ann", "ann", ""},
		{"wide character erased", "田\x7fann", "田\r\x1b[KUser name: ann", "ann", ""},
		{"escape sequence", "\x1b[2Jann", "?[2Jann", "", "not text"},
		{"half a character", "\xc3ann", "?ann", "", "not UTF-8"},
		{"half a character erased", "\xc3\x7fann", "ann", "ann", ""},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			p := newPerson(t)
			done := ask(t.Context(), &prompt.Provider{Device: p.device()}, request(""))
			p.sees("User name: ")
			p.types(tt.keys + "\r")
			want := introduction + "User name: " + tt.screen + "\r\n"
			if tt.problem != "" {
				require.ErrorContains(t, (<-done).err, tt.problem)
				p.requireScreen(want)
				return
			}
			p.sees("Password for " + tt.user + ": ")
			p.types("s3cret\r")
			requireCredentials(t, tt.user, "s3cret", <-done)
			p.requireScreen(want + "Password for " + tt.user + ": \r\n")
		})
	}
}

func TestLongAnswer(t *testing.T) {
	p := newPerson(t)
	provider := &prompt.Provider{Device: p.device()}
	for n, problem := range map[int]string{1024: "", 1025: "more than 1024 bytes", 100_000: "more than 1024 bytes"} {
		done := ask(t.Context(), provider, request("ann"))
		p.sees("Password for ann: ")
		p.types(strings.Repeat("x", n) + "\r")
		if r := <-done; problem == "" {
			requireCredentials(t, "ann", strings.Repeat("x", n), r)
		} else {
			require.ErrorContains(t, r.err, problem)
		}
	}
}

// Two questions at once come one after the other, each with its own answer.
func TestTwoQuestionsAtOnce(t *testing.T) {
	p := newPerson(t)
	provider := &prompt.Provider{Device: p.device()}
	other := request("bob")
	other.Proxy = &url.URL{Scheme: "http", Host: "other.example.com:3128"}
	first := ask(t.Context(), provider, request("ann"))
	p.sees("Password for ann: ")
	second := ask(t.Context(), &prompt.Provider{Device: p.device()}, other)
	p.types("s3c")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := provider.Credentials(ctx, other)
	require.ErrorIs(t, err, context.DeadlineExceeded) // it was not asked
	p.types("ret\rhunter2\r")
	requireCredentials(t, "ann", "s3cret", <-first)
	requireCredentials(t, "bob", "hunter2", <-second)
	p.requireTerminalAsBefore()
	p.requireScreen(askPassword + "\r\nProxy other.example.com:3128 asks who you are.\r\nPassword for bob: \r\n")
}

// onTerminal starts the test binary in a role, on the person's terminal.
func (p *person) onTerminal(role string) (*exec.Cmd, *strings.Builder) {
	p.t.Helper()
	cmd := command(p.t.Context(), role)
	output := new(strings.Builder)
	cmd.Stdin, cmd.Stdout = p.line, output
	cmd.SysProcAttr = controlledBy(0)
	require.NoError(p.t, cmd.Start())
	return cmd, output
}

// A signal ends the program as it does otherwise, and leaves no terminal without echo.
func TestSignalDuringTheQuestion(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(s.String(), func(t *testing.T) {
			if signal.Ignored(s) {
				t.Skip("ignored here, and so by what is started, as under nohup")
			}
			p := newPerson(t)
			cmd, output := p.onTerminal("program")
			p.sees("Password for ann: ")
			p.types("s3c")
			require.NoError(t, cmd.Process.Signal(s))
			require.Error(t, cmd.Wait(), output)
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if s == syscall.SIGQUIT { // Go prints its goroutines
				require.Equal(t, 2, status.ExitStatus())
			} else {
				require.Equal(t, s, status.Signal())
			}
			require.Empty(t, output.String())
			p.requireTerminalAsBefore()
			p.requireScreen(askPassword + "\r\n")
		})
	}
}

// A program that handles the signal goes on, with the terminal as it was before.
func TestSignalThatTheProgramHandles(t *testing.T) {
	p := newPerson(t)
	cmd, output := p.onTerminal("handler")
	p.sees("Password for ann: ")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	require.Equal(t, "[0 proxyauth: prompt: ended by the signal \"terminated\"]\n", output.String())
	p.requireTerminalAsBefore()
}

// nohup has a program ignore SIGHUP, and the question does not change that.
func TestSignalThatTheProgramIgnores(t *testing.T) {
	p := newPerson(t)
	cmd, output := p.onTerminal("nohup")
	p.sees("Password for ann: ")
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	p.types("s3cret\r")
	require.NoError(t, cmd.Wait())
	require.Equal(t, "[6 <nil>]\n", output.String())
}

// beProgram asks, in one of the ways that programs have with signals.
func beProgram(role string) {
	switch role {
	case "handler":
		signal.Notify(make(chan os.Signal, 2), syscall.SIGTERM)
	case "nohup":
		signal.Ignore(syscall.SIGHUP)
	}
	c, err := new(prompt.Provider).Credentials(context.Background(), request("ann"))
	fmt.Printf("[%d %v]\n", len(c.Password.Reveal()), err)
}
