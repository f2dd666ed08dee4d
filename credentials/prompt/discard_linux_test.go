package prompt_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

// typesAhead types keys that nobody reads yet.
func (p *person) typesAhead(keys string) {
	p.t.Helper()
	_, err := term.MakeRaw(int(p.line.Fd()))
	require.NoError(p.t, err)
	p.types(keys)
	require.Eventually(p.t, func() bool { return p.waiting() == len(keys) }, 30*time.Second, time.Millisecond)
}

// waiting returns how many bytes were typed and not read.
func (p *person) waiting() int {
	p.t.Helper()
	n, err := unix.IoctlGetInt(int(p.line.Fd()), unix.TIOCINQ)
	require.NoError(p.t, err)
	return n
}

// What was typed and not read is not the next answer, nor the shell's next command.
func TestDiscardsTheRestOfACancelledAnswer(t *testing.T) {
	p := newPerson(t)
	p.typesAhead("\x03" + strings.Repeat("x", 1000) + "\r")
	provider := &prompt.Provider{Device: p.device()}
	_, err := provider.Credentials(t.Context(), request("ann"))
	require.ErrorIs(t, err, prompt.ErrCancelled)
	require.Zero(t, p.waiting())

	p.sees("Password for ann: ")
	done := ask(t.Context(), provider, request("ann"))
	p.sees("Password for ann: ")
	p.types("s3cret\r")
	requireCredentials(t, "ann", "s3cret", <-done)
}
