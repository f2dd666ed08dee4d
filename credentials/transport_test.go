package credentials_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// A lab is a proxy whose users lock themselves out, and an origin.
type lab struct {
	users     *testproxy.Accounts
	transport *proxyauth.Transport
	origin    string
	verdicts  chan string // what the provider has been told
}

// A teller is a provider that says when it has been told of a verdict, which happens beside the requests.
type teller struct {
	proxyauth.CredentialsProvider
	verdicts chan string
}

func (p teller) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	if o, ok := p.CredentialsProvider.(proxyauth.CredentialsObserver); ok {
		o.Accepted(ctx, req, c)
	}
	p.verdicts <- "accepted"
}

func (p teller) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	if o, ok := p.CredentialsProvider.(proxyauth.CredentialsObserver); ok {
		o.Rejected(ctx, req, c)
	}
	p.verdicts <- "rejected"
}

func newLab(t *testing.T, s source, schemes ...proxyauth.Scheme) *lab {
	t.Helper()
	network := testproxy.NewNetwork()
	users := &testproxy.Accounts{Passwords: map[string]string{"ann": "new"}, LockAfter: 3}
	proxy := testproxy.Start(t, testproxy.Config{
		Network: network,
		Auth:    []testproxy.Mechanism{&testproxy.Digest{Accounts: users, Realm: "Lab"}, &testproxy.Basic{Accounts: users, Realm: "Lab"}},
	})
	origin := testproxy.StartOrigin(t, testproxy.OriginConfig{Network: network})
	proxyURL := proxy.URL()
	if s.proxy != "" {
		u, err := url.Parse(s.proxy)
		require.NoError(t, err)
		proxyURL.User = u.User
	}
	verdicts := make(chan string, 100)
	transport := &proxyauth.Transport{
		Base:        &http.Transport{Proxy: http.ProxyURL(proxyURL), DialContext: network.DialContext},
		Schemes:     schemes,
		Credentials: teller{s.provider, verdicts},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &lab{users: users, transport: transport, origin: origin.URL(), verdicts: verdicts}
}

// get sends n requests at once and requires their status.
func (l *lab) get(t *testing.T, n, status int) {
	t.Helper()
	var callers sync.WaitGroup
	for range n {
		callers.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.origin, nil)
			require.NoError(t, err)
			resp, err := l.transport.RoundTrip(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			io.Copy(io.Discard, resp.Body)
			require.Equal(t, status, resp.StatusCode)
		})
	}
	callers.Wait()
}

// Whatever the provider and however many ask, a wrong password reaches the proxy
// once, and a new one is used as soon as it is there.
func TestProvidersSpareTheAccount(t *testing.T) {
	t.Setenv("PROXY_USER", "ann")
	for desc := range sources(t) {
		t.Run(desc, func(t *testing.T) {
			t.Setenv("PROXY_PASSWORD", "old")
			s := sources(t)[desc]
			l := newLab(t, s, &digest.Scheme{}, &basic.Scheme{})
			for range 3 {
				l.get(t, 30, http.StatusProxyAuthRequired)
			}
			require.Equal(t, 1, l.users.Failures("ann"))
			require.Equal(t, "rejected", <-l.verdicts)
			if s.change == nil {
				return
			}
			s.change(t)
			l.get(t, 30, http.StatusOK)
			require.Equal(t, "accepted", <-l.verdicts)
			require.Equal(t, 1, l.users.Failures("ann"))
		})
	}
}

// A password that changes in use costs one failure and no request. (Of requests
// that are sent at the same moment, each finds out for itself.)
func TestProvidersRotate(t *testing.T) {
	t.Setenv("PROXY_USER", "ann")
	for desc := range sources(t) {
		t.Run(desc, func(t *testing.T) {
			t.Setenv("PROXY_PASSWORD", "old")
			s := sources(t)[desc]
			if s.change == nil {
				t.Skip("does not change")
			}
			// With Digest it may be the nonce that is refused, so that it costs
			// a second failure.
			l := newLab(t, s, &basic.Scheme{})
			l.users.SetPassword("ann", "old")
			l.get(t, 3, http.StatusOK)
			require.Equal(t, "accepted", <-l.verdicts)
			l.users.SetPassword("ann", "new")
			s.change(t)
			if strings.Contains(desc, "prompt") || desc == "saved in the keyring" {
				// Nobody is asked, and nothing deleted, because of what may be a forbidden target.
				for range 30 {
					l.get(t, 1, http.StatusProxyAuthRequired)
				}
				require.Equal(t, 1, l.users.Failures("ann"))
				return
			}
			l.get(t, 1, http.StatusOK)
			require.Equal(t, "accepted", <-l.verdicts)
			l.get(t, 30, http.StatusOK)
			require.Equal(t, 1, l.users.Failures("ann"))
		})
	}
}
