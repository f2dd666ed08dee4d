//go:build unix

package defaults_test

import (
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/defaults"
)

// A person answers each question for a password, and counts them.
func person(t *testing.T, answer string) (provider proxyauth.CredentialsObserver, questions func() int) {
	t.Helper()
	screen, line, err := pty.Open()
	if err != nil && os.Getenv("PROXYAUTH_INTEROP") != "required" {
		t.Skip("no pseudo-terminals")
	}
	require.NoError(t, err)
	var mu sync.Mutex
	asked := 0
	var sitting sync.WaitGroup
	sitting.Go(func() {
		unread, buffer := "", make([]byte, 4096)
		for {
			n, err := screen.Read(buffer)
			if err != nil {
				return
			}
			unread += string(buffer[:n])
			for strings.Contains(unread, "Password for bob: ") {
				_, unread, _ = strings.Cut(unread, "Password for bob: ")
				mu.Lock()
				asked++
				mu.Unlock()
				io.WriteString(screen, answer+"\r")
			}
		}
	})
	t.Cleanup(func() {
		line.Close()
		sitting.Wait()
		screen.Close()
	})
	return defaults.ProviderAt(line.Name()), func() int {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

// A person is asked where nothing else has a password, once for all schemes but Negotiate,
// and where what is stored was refused, but not to correct what the program was given.
func TestPersonIsAskedLast(t *testing.T) {
	ask := func(t *testing.T, p proxyauth.CredentialsProvider, req *proxyauth.CredentialsRequest, want string) {
		t.Helper()
		c, err := p.Credentials(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, "bob", c.Username)
		require.Equal(t, want, c.Password.Reveal())
	}
	t.Run("nothing else", func(t *testing.T) {
		prepare(t, nil, "", 0)
		p, questions := person(t, "typed")
		ask(t, p, request("Negotiate", pair("bob", "")), "")
		require.Zero(t, questions())
		ask(t, p, request("Digest", pair("bob", "")), "typed")
		ask(t, p, request("Basic", pair("bob", "")), "typed")
		require.Equal(t, 1, questions())
	})
	t.Run("user of the environment", func(t *testing.T) {
		prepare(t, map[string]string{"PROXY_USER": "bob"}, "", 0)
		p, questions := person(t, "typed")
		ask(t, p, request("Basic", nil), "typed")
		p.Rejected(t.Context(), request("Basic", nil), *pair("bob", "typed"))
		_, err := p.Credentials(t.Context(), request("Basic", nil, *pair("bob", "typed")))
		require.ErrorIs(t, err, proxyauth.ErrNoCredentials, "three answers, all the same")
		require.Equal(t, 3, questions())
	})
	t.Run("netrc refused", func(t *testing.T) {
		prepare(t, nil, netrc, 0o600)
		p, questions := person(t, "typed")
		req := request("Basic", pair("bob", ""))
		ask(t, p, req, "from-netrc")
		p.Rejected(t.Context(), req, *pair("bob", "from-netrc"))
		ask(t, p, request("Basic", pair("bob", ""), *pair("bob", "from-netrc")), "typed")
		require.Equal(t, 1, questions())
	})
	t.Run("environment refused", func(t *testing.T) {
		prepare(t, map[string]string{"PROXY_PASSWORD": "given"}, netrc, 0o600)
		p, questions := person(t, "typed")
		ask(t, p, request("Basic", pair("bob", ""), *pair("bob", "given")), "given")
		require.Zero(t, questions())
	})
}
