//go:build unix

package prompt_test

import (
	"context"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/term"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

func request(user string, rejected ...proxyauth.Credentials) *proxyauth.CredentialsRequest {
	req := &proxyauth.CredentialsRequest{
		Proxy:    &url.URL{Scheme: "http", Host: "proxy.example.com:3128"},
		Scheme:   "Basic",
		Rejected: rejected,
	}
	if user != "" {
		req.UserInfo = &proxyauth.Credentials{Username: user}
	}
	return req
}

func pair(user, password string) proxyauth.Credentials {
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
}

// A person sits at a pseudo-terminal.
type person struct {
	t      *testing.T
	screen *os.File
	line   *os.File
	before *term.State
	shown  strings.Builder
	unread string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	screen, line, err := pty.Open()
	if err != nil && os.Getenv("PROXYAUTH_INTEROP") != "required" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { screen.Close(); line.Close() })
	before, err := term.GetState(int(line.Fd()))
	require.NoError(t, err)
	return &person{t: t, screen: screen, line: line, before: before}
}

func (p *person) device() string { return p.line.Name() }

// sees reads the screen until text is on it, and forgets what is before it.
func (p *person) sees(text string) {
	p.t.Helper()
	for !strings.Contains(p.unread, text) {
		buffer := make([]byte, 4096)
		n, err := p.screen.Read(buffer)
		require.NoError(p.t, err, "looking for %q in %q", text, p.unread)
		p.unread += string(buffer[:n])
		p.shown.Write(buffer[:n])
	}
	_, p.unread, _ = strings.Cut(p.unread, text)
}

func (p *person) types(text string) {
	p.t.Helper()
	_, err := io.WriteString(p.screen, text)
	require.NoError(p.t, err)
}

// requireTerminalAsBefore checks that echo and line mode are back.
func (p *person) requireTerminalAsBefore() {
	p.t.Helper()
	now, err := term.GetState(int(p.line.Fd()))
	require.NoError(p.t, err)
	require.Equal(p.t, p.before, now)
}

type result struct {
	credentials proxyauth.Credentials
	err         error
}

// ask asks in the background.
func ask(ctx context.Context, provider proxyauth.CredentialsProvider, req *proxyauth.CredentialsRequest) <-chan result {
	done := make(chan result, 1)
	go func() {
		c, err := provider.Credentials(ctx, req)
		done <- result{c, err}
	}()
	return done
}

func requireCredentials(t *testing.T, user, password string, r result) {
	t.Helper()
	require.NoError(t, r.err)
	require.Equal(t, user, r.credentials.Username)
	require.Equal(t, password, r.credentials.Password.Reveal())
}

func TestAsksForUserNameAndPassword(t *testing.T) {
	p := newPerson(t)
	req := request("")
	req.Realm = "Lab"
	done := ask(t.Context(), &prompt.Provider{Device: p.device()}, req)
	p.sees("Proxy proxy.example.com:3128 asks who you are (realm \"Lab\").\r\n")
	p.sees("User name: ")
	p.types("CORP\\jörg\r")
	p.sees("CORP\\jörg")
	p.sees("Password for CORP\\jörg: ")
	p.types("wrong\x7f\x7f\x7f\x7f\x7fs3cret £\r")
	requireCredentials(t, `CORP\jörg`, "s3cret £", <-done)
	p.requireTerminalAsBefore()
	p.line.WriteString("the end")
	p.sees("the end")
	for _, text := range []string{"s3cret", "£", "wrong", "*"} {
		require.NotContains(t, p.shown.String(), text)
	}
}

func TestKnowsTheUserName(t *testing.T) {
	tests := []struct {
		desc, username string
		req            *proxyauth.CredentialsRequest
	}{
		{desc: "from the URL", req: request("ann")},
		{desc: "from the field", username: "ann", req: request("bob")},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			p := newPerson(t)
			done := ask(t.Context(), &prompt.Provider{Username: test.username, Device: p.device()}, test.req)
			p.sees("asks who you are.\r\nPassword for ann: ")
			p.types("s3cret\r")
			requireCredentials(t, "ann", "s3cret", <-done)
		})
	}
}

func TestTypedAhead(t *testing.T) {
	p := newPerson(t)
	done := ask(t.Context(), &prompt.Provider{Device: p.device()}, request(""))
	p.sees("User name: ")
	p.types("ann\rs3cret\r")
	requireCredentials(t, "ann", "s3cret", <-done)
}

// The rejection contract: asked again with the reason, three times at most, and
// never with the same answer.
func TestAsksAgainAfterARefusal(t *testing.T) {
	p := newPerson(t)
	provider := &prompt.Provider{Device: p.device()}
	var rejected []proxyauth.Credentials
	for _, step := range []struct{ reason, answer string }{
		{"asks who you are.", "one"},
		{"The proxy refused the credentials (attempt 2 of 3).\r\n", "two"},
		{"The proxy refused the credentials (attempt 3 of 3).\r\n", "three"},
	} {
		req := request("ann", rejected...)
		done := ask(t.Context(), provider, req)
		p.sees(step.reason)
		p.sees("Password for ann: ")
		p.types(step.answer + "\r")
		r := <-done
		requireCredentials(t, "ann", step.answer, r)
		rejected = append(rejected, r.credentials)
		provider.Rejected(t.Context(), req, r.credentials)
	}
	for _, req := range []*proxyauth.CredentialsRequest{request("ann", rejected...), request("ann")} {
		req.Realm = "another"
		_, err := provider.Credentials(t.Context(), req)
		require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
		require.EqualError(t, err, "proxyauth: no credentials: prompt: 3 answers were refused")
	}

	provider.Reset(request("ann"))
	done := ask(t.Context(), provider, request("ann"))
	p.sees("Password for ann: ")
	p.types("four\r")
	requireCredentials(t, "ann", "four", <-done)
}

func TestCountsRefusalsWithoutBeingTold(t *testing.T) {
	p := newPerson(t)
	provider := &prompt.Provider{Device: p.device()}
	var rejected []proxyauth.Credentials
	for _, answer := range []string{"one", "two", "three"} {
		done := ask(t.Context(), provider, request("ann", rejected...))
		p.sees("Password for ann: ")
		p.types(answer + "\r")
		rejected = append(rejected, (<-done).credentials)
	}
	_, err := provider.Credentials(t.Context(), request("ann", rejected...))
	require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
}

func TestAcceptedBeginsANewCount(t *testing.T) {
	p := newPerson(t)
	provider := &prompt.Provider{Device: p.device()}
	req := request("ann")
	for range 2 {
		provider.Rejected(t.Context(), req, pair("ann", "x"))
	}
	provider.Accepted(t.Context(), req, pair("ann", "y"))
	done := ask(t.Context(), provider, request("ann", pair("ann", "y")))
	p.sees("attempt 1 of 3")
	p.sees("Password for ann: ")
	p.types("new\r")
	requireCredentials(t, "ann", "new", <-done)
}

func TestDoesNotTakeARefusedAnswerAgain(t *testing.T) {
	p := newPerson(t)
	done := ask(t.Context(), &prompt.Provider{Device: p.device()}, request("ann", pair("ann", "old")))
	p.sees("Password for ann: ")
	p.types("old\r")
	p.sees("attempt 2 of 3")
	p.sees("Password for ann: ")
	p.types("new\r")
	requireCredentials(t, "ann", "new", <-done)

	done = ask(t.Context(), &prompt.Provider{Device: p.device()}, request("ann", pair("ann", "old")))
	for range 3 {
		p.sees("Password for ann: ")
		p.types("old\r")
	}
	require.ErrorIs(t, (<-done).err, proxyauth.ErrNoCredentials)
	p.requireTerminalAsBefore()
}

func TestCancelledByTheUser(t *testing.T) {
	for desc, keys := range map[string]string{"Ctrl-C": "\x03", "Ctrl-D": "\x04", "nothing": "\r", "user, then nothing": "ann\r\r", "Ctrl-C in the password": "ann\rs3c\x03"} {
		t.Run(desc, func(t *testing.T) {
			p := newPerson(t)
			done := ask(t.Context(), &prompt.Provider{Device: p.device()}, request(""))
			p.sees("User name: ")
			p.types(keys)
			r := <-done
			require.ErrorIs(t, r.err, prompt.ErrCancelled)
			require.NotErrorIs(t, r.err, proxyauth.ErrNoCredentials)
			require.Zero(t, r.credentials.Username)
			p.requireTerminalAsBefore()
		})
	}
}

func TestCancelledByTheContext(t *testing.T) {
	p := newPerson(t)
	provider := &prompt.Provider{Device: p.device()}
	ctx, cancel := context.WithCancel(t.Context())
	done := ask(ctx, provider, request("ann"))
	p.sees("Password for ann: ")
	p.types("s3c")
	cancel()
	require.ErrorIs(t, (<-done).err, context.Canceled)
	// A program that ends now must not leave a shell with no echo behind.
	p.requireTerminalAsBefore()

	done = ask(t.Context(), provider, request("ann"))
	p.sees("Password for ann: ")
	p.types("s3cret\r")
	requireCredentials(t, "ann", "s3cret", <-done)
	p.requireTerminalAsBefore()

	_, err := provider.Credentials(ctx, request("ann"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestAsksOnceForManyRequests(t *testing.T) {
	p := newPerson(t)
	cached := &credentials.Cached{Source: &prompt.Provider{Device: p.device()}}
	var callers sync.WaitGroup
	results := make(chan result, 50)
	for range cap(results) {
		callers.Go(func() {
			c, err := cached.Credentials(t.Context(), request("ann"))
			results <- result{c, err}
		})
	}
	p.sees("Password for ann: ")
	p.types("s3cret\r")
	callers.Wait()
	close(results)
	for r := range results {
		requireCredentials(t, "ann", "s3cret", r)
	}
	p.line.WriteString("the end")
	p.sees("the end")
	require.Equal(t, 1, strings.Count(p.shown.String(), "Password for"))
}

func TestShowsNoEscapeSequences(t *testing.T) {
	p := newPerson(t)
	req := request("ann")
	req.Realm = "\x1b[2J\r\nPassword for bob: \u202e" + strings.Repeat("x", 1000)
	done := ask(t.Context(), &prompt.Provider{Device: p.device()}, req)
	p.sees(`(realm "?[2J??Password for bob: ?xxx`)
	p.sees(`..."`)
	p.sees("Password for ann: ")
	p.types("s3cret\r")
	requireCredentials(t, "ann", "s3cret", <-done)
	require.Less(t, strings.Count(p.shown.String(), "x"), 100)
}

func TestNeverAsksOnAPipeOrFile(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	require.NoError(t, os.WriteFile(file, []byte("ann\rs3cret\r"), 0o600))
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	for _, device := range []string{file, fifo, filepath.Join(dir, "missing"), dir, os.DevNull} {
		_, err := (&prompt.Provider{Device: device}).Credentials(t.Context(), request("ann"))
		require.EqualError(t, err, "proxyauth: no credentials: prompt: there is no terminal to ask on")
		require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
	}
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "ann\rs3cret\r", string(content))
}
