package credentials_test

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	testkeyring "github.com/zalando/go-keyring"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
	"github.com/go-proxyauth/proxyauth/credentials/keyring"
)

// A source is a provider, and how what it takes its answers from is changed. The
// password is "old" until it is "new".
type source struct {
	provider proxyauth.CredentialsProvider
	proxy    string
	change   func(t *testing.T)
}

func sources(t *testing.T) map[string]source {
	testkeyring.MockInit()
	netrc := writeFile(t, "netrc", "machine proxy.example.com login ann password old")
	password := writeFile(t, "password", "old")
	fileChange := func(t *testing.T) { rewriteFile(t, password, "new") }
	file := credentials.File{Username: "ann", PasswordPath: password}
	command := helper(t, "print", "STDOUT=username=ann\npassword=old\n")
	jsonCommand := helper(t, "json", `STDOUT={"username": "ann", "password": "old"}`)
	store := git(t, "credential-store", "--file", filepath.Join(t.TempDir(), "credentials"))
	store.Accepted(t.Context(), request(t, proxyText), pair("ann", "old"))
	vault := &vault{password: "old"}
	managed := &keyring.Provider{Service: "managed", Username: "ann", SaveAndDelete: true}

	all := map[string]source{
		"static":   {provider: credentials.Static("ann", "old")},
		"proxyURL": {provider: credentials.ProxyURL(), proxy: "http://ann:old@proxy.example.com:3128"},
		"environment": {
			provider: credentials.Environment("", ""),
			change:   func(t *testing.T) { t.Setenv("PROXY_PASSWORD", "new") },
		},
		"netrc": {
			provider: credentials.Netrc{Path: netrc},
			change:   func(t *testing.T) { rewriteFile(t, netrc, "machine proxy.example.com login ann password new") },
		},
		"file": {provider: file, change: fileChange},
		"command": {
			provider: command,
			change:   func(*testing.T) { command.Env = append(command.Env, "STDOUT=username=ann\npassword=new\n") },
		},
		"JSON command": {
			provider: jsonCommand,
			change: func(*testing.T) {
				jsonCommand.Env = append(jsonCommand.Env, `STDOUT={"username": "ann", "password": "new"}`)
			},
		},
		"git credential-store": {
			provider: store,
			change: func(t *testing.T) {
				store.Accepted(t.Context(), request(t, proxyText), pair("ann", "new"))
			},
		},
		"named":  {provider: credentials.Named("vault", proxyauth.CredentialsFunc(vault.ask)), change: vault.change},
		"chain":  {provider: credentials.Chain(credentials.ProxyURL(), credentials.Named("vault", proxyauth.CredentialsFunc(vault.ask))), change: vault.change},
		"cached": {provider: &credentials.Cached{Source: credentials.Named("vault", proxyauth.CredentialsFunc(vault.ask))}, change: vault.change},
		"cached file": {
			provider: &credentials.Cached{Source: file, MaxAge: time.Hour},
			change:   fileChange,
		},
		"saved": {
			provider: credentials.Saved(failing("store", proxyauth.ErrNoCredentials), credentials.Named("vault", proxyauth.CredentialsFunc(vault.ask))),
			change:   vault.change,
		},
		"keyring":         keyringSource(t, &keyring.Provider{Service: "read", Username: "ann"}),
		"managed keyring": keyringSource(t, managed),
		"saved in the keyring": {
			provider: credentials.Saved(managed, credentials.Named("vault", proxyauth.CredentialsFunc(vault.ask))),
			change:   vault.change,
		},
	}
	maps.Copy(all, promptSources(t))
	return all
}

// keyringSource puts the password into the store of go-keyring for tests.
func keyringSource(t *testing.T, p *keyring.Provider) source {
	save := func(t *testing.T, password string) {
		require.NoError(t, p.Save(t.Context(), request(t, proxyText).Proxy, pair("ann", password)))
	}
	save(t, "old")
	return source{provider: p, change: func(t *testing.T) { save(t, "new") }}
}

type vault struct {
	mu       sync.Mutex
	password string
}

func (v *vault) ask(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return pair("ann", v.password), ctx.Err()
}

func (v *vault) change(*testing.T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.password = "new"
}

// A client is what a Transport does with a provider: it asks, sends what has not
// been refused yet, and reports what became of it.
type client struct {
	provider proxyauth.CredentialsProvider
	proxy    string
	good     string
	rejected []proxyauth.Credentials
	sent     []string
}

var errRefused = errors.New("refused before")

// roundTrip asks until the answer is good or has been refused before.
func (c *client) roundTrip(t *testing.T) error {
	for {
		req := request(t, c.proxy, c.rejected...)
		answer, err := c.provider.Credentials(t.Context(), req)
		scanned.Error(t.Name(), err)
		if err != nil {
			return err
		}
		require.Equal(t, "ann", answer.Username)
		if memo.Contains(c.rejected, answer) {
			return errRefused
		}
		c.sent = append(c.sent, answer.Password.Reveal())
		observer, _ := c.provider.(proxyauth.CredentialsObserver)
		if answer.Password.Reveal() == c.good {
			if observer != nil {
				observer.Accepted(t.Context(), req, answer)
			}
			return nil
		}
		c.rejected = append(c.rejected, answer)
		if observer != nil {
			observer.Rejected(t.Context(), req, answer)
		}
	}
}

// A refused answer is not sent twice; a different one is tried at once.
func TestRejectionContract(t *testing.T) {
	t.Setenv("PROXY_USER", "ann")
	t.Setenv("PROXY_PASSWORD", "old")
	for desc := range sources(t) {
		t.Run(desc, func(t *testing.T) {
			t.Setenv("PROXY_PASSWORD", "old")
			s := sources(t)[desc]
			if s.proxy == "" {
				s.proxy = proxyText
			}
			c := &client{provider: s.provider, proxy: s.proxy, good: "new"}
			for range 3 {
				require.Error(t, c.roundTrip(t))
			}
			require.Equal(t, []string{"old"}, c.sent)
			if s.change == nil {
				return
			}
			s.change(t)
			require.NoError(t, c.roundTrip(t))
			require.NoError(t, c.roundTrip(t))
			require.Equal(t, []string{"old", "new", "new"}, c.sent)
		})
	}
}

// A source that changes while the old answer is in use: within one round trip.
func TestRotation(t *testing.T) {
	t.Setenv("PROXY_USER", "ann")
	for desc := range sources(t) {
		t.Run(desc, func(t *testing.T) {
			t.Setenv("PROXY_PASSWORD", "old")
			s := sources(t)[desc]
			if s.change == nil {
				t.Skip("does not change")
			}
			c := &client{provider: s.provider, proxy: proxyText, good: "old"}
			require.NoError(t, c.roundTrip(t))
			s.change(t)
			c.rejected = append(c.rejected, pair("ann", "old"))
			c.good = "new"
			require.NoError(t, c.roundTrip(t))
			require.Equal(t, []string{"old", "new"}, c.sent)
		})
	}
}

func TestProvidersEndWithTheContext(t *testing.T) {
	t.Setenv("PROXY_USER", "ann")
	t.Setenv("PROXY_PASSWORD", "old")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for desc, s := range sources(t) {
		t.Run(desc, func(t *testing.T) {
			_, err := s.provider.Credentials(ctx, request(t, proxyText))
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, proxyauth.ErrNoCredentials)
		})
	}
}

func TestProvidersAreSafeForConcurrentUse(t *testing.T) {
	t.Setenv("PROXY_USER", "ann")
	t.Setenv("PROXY_PASSWORD", "old")
	for desc, s := range sources(t) {
		t.Run(desc, func(t *testing.T) {
			if s.proxy == "" {
				s.proxy = proxyText
			}
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() {
					req := request(t, s.proxy)
					c, err := s.provider.Credentials(t.Context(), req)
					requireCredentials(t, "ann", "old", c, err)
					// git locks its file for a second only.
					if o, ok := s.provider.(proxyauth.CredentialsObserver); ok && desc != "git credential-store" {
						o.Accepted(t.Context(), req, c)
					}
				})
			}
			callers.Wait()
		})
	}
}
