package ntlmserver_test

import (
	"sync"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

func TestNameForms(t *testing.T) {
	for _, tt := range []struct {
		domain, user, password, want string
	}{
		{"", "ann", "s3cret", "ann"},
		{"CORP", "ann", "s3cret", "ann"},
		{"corp", "ANN", "s3cret", "ann"},
		{"corp.example.com", "ann", "s3cret", "ann"},
		{"", "ann@CORP.EXAMPLE.COM", "s3cret", "ann"},
		{"", "ann@corp", "s3cret", "ann"},
		{"LAB", "bob", "other", `LAB\bob`},
		{"", "Bob@lab", "other", `LAB\bob`},
		{"CORP", "jörg", "pässwörd", "jörg"},
		{"CORP", "JÖRG", "pässwörd", "jörg"},
		{"", "empty", "", "empty"},
	} {
		t.Run(tt.domain+"_"+tt.user, func(t *testing.T) {
			c := ann()
			c.domain, c.user, c.password = tt.domain, tt.user, tt.password
			ctx, err := handshake(t, newServer(), c)
			require.NoError(t, err)
			require.Equal(t, tt.want, ctx.User())
			require.Equal(t, tt.user, ctx.Seen().User)
			require.Equal(t, tt.domain, ctx.Seen().Domain)
		})
	}
}

func TestUnknownNames(t *testing.T) {
	for _, tt := range []struct{ domain, user string }{
		{"", "bob"}, // of LAB, which is not the server's domain
		{"CORP", "bob"},
		{"PROXY", "ann"},
		{"CORP", "ann@corp.example.com"},
		{"", "ann@"},
		{"", "ann@example.com"},
		{"lab.example.com", "bob"},
	} {
		t.Run(tt.domain+"_"+tt.user, func(t *testing.T) {
			c := ann()
			c.domain, c.user = tt.domain, tt.user
			_, err := handshake(t, newServer(), c)
			require.ErrorIs(t, err, ntlmserver.ErrUnknownUser)
		})
	}
}

// TestUpperCasesByUnit has a letter beyond the BMP: Windows leaves it alone, Go's
// strings.ToUpper, as the tests' client uses it, does not.
func TestUpperCasesByUnit(t *testing.T) {
	c := ann()
	c.user, c.password = "\U00010428", "beyond"
	_, err := handshake(t, newServer(), c)
	require.ErrorIs(t, err, ntlmserver.ErrWrongPassword)
	c.user = "\U00010400" // what is upper case already
	_, err = handshake(t, newServer(), c)
	require.NoError(t, err)
}

func TestFailures(t *testing.T) {
	srv := newServer()
	srv.LockoutAfter = 2
	right, wrong := ann(), ann()
	wrong.password = "guess"
	try := func(c *client) error {
		_, err := handshake(t, srv, c)
		return err
	}
	require.ErrorIs(t, try(wrong), ntlmserver.ErrWrongPassword)
	require.NoError(t, try(right), "resets the count that locks")
	require.ErrorIs(t, try(wrong), ntlmserver.ErrWrongPassword)
	require.ErrorIs(t, try(wrong), ntlmserver.ErrWrongPassword)
	require.ErrorIs(t, try(right), ntlmserver.ErrLockedOut)
	require.Equal(t, 3, srv.Failures("ann"))
	require.ErrorIs(t, try(wrong), ntlmserver.ErrLockedOut)
	for _, name := range []string{"ann", `CORP\Ann`, "ann@corp.example.com"} {
		require.Equal(t, 4, srv.Failures(name), name)
	}
	require.Zero(t, srv.Failures(`LAB\bob`))
	require.Zero(t, srv.Failures("eve"))
}

func TestConcurrentHandshakes(t *testing.T) {
	srv := newServer()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			c := ann()
			if i%2 == 1 {
				c.password = "guess"
			}
			ctx := srv.NewContext(nil)
			challenge, _, _ := ctx.Accept(c.negotiate())
			ctx.Accept(c.authenticate(c.negotiate(), challenge))
			_ = ctx.Seen()
		})
	}
	wg.Wait()
	require.Equal(t, 64, srv.Handshakes())
	require.Equal(t, 32, srv.Failures("ann"))
}
