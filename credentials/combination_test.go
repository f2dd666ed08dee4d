package credentials_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

// A drawer is a store that takes its time. It keeps what was accepted and deletes what was
// refused.
type drawer struct {
	mu       sync.Mutex
	password string
}

func (d *drawer) Credentials(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	time.Sleep(10 * time.Millisecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.password == "" {
		return proxyauth.Credentials{}, proxyauth.ErrNoCredentials
	}
	return pair("ann", d.password), ctx.Err()
}

func (d *drawer) Accepted(_ context.Context, _ *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	time.Sleep(100 * time.Millisecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.password = c.Password.Reveal()
}

func (d *drawer) Rejected(_ context.Context, _ *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	time.Sleep(100 * time.Millisecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.password == c.Password.Reveal() {
		d.password = ""
	}
}

// An owner is a person who knows the password, and mistypes it now and then.
type owner struct {
	mu       sync.Mutex
	password string
	asked    int
	asking   int
	most     int // questions at once
	typo     func() bool
}

func (o *owner) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if req.Doubted {
		return proxyauth.Credentials{}, proxyauth.ErrNoCredentials
	}
	o.mu.Lock()
	o.asked++
	o.asking++
	o.most = max(o.most, o.asking)
	o.mu.Unlock()
	time.Sleep(2 * time.Second)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asking--
	if o.typo() {
		return pair("ann", fmt.Sprint("typo ", o.asked)), ctx.Err()
	}
	return pair("ann", o.password), ctx.Err()
}

// Several Transports share providers that wrap one another, while the password changes, is
// mistyped, and verdicts come late. In the end each request passes, the store has the new
// password, nobody is asked twice at once, and the account has seen few failures.
func TestCombinationsSurviveRotation(t *testing.T) {
	combinations := map[string]func(*drawer, *owner) proxyauth.CredentialsProvider{
		"cached saved": func(d *drawer, o *owner) proxyauth.CredentialsProvider {
			return &credentials.Cached{Source: credentials.Saved(d, o)}
		},
		"saved cached": func(d *drawer, o *owner) proxyauth.CredentialsProvider {
			return credentials.Saved(d, &credentials.Cached{Source: o})
		},
		"chain of saved cached": func(d *drawer, o *owner) proxyauth.CredentialsProvider {
			return credentials.Chain(credentials.ProxyURL(), credentials.Named("x", credentials.Saved(d, &credentials.Cached{Source: o})))
		},
		"cached chain": func(d *drawer, o *owner) proxyauth.CredentialsProvider {
			return &credentials.Cached{Source: credentials.Chain(credentials.ProxyURL(), credentials.Saved(d, o)), MaxAge: 20 * time.Second}
		},
	}
	t.Parallel()
	for desc, combine := range combinations {
		for seed := range sample.Size(1, 2) {
			t.Run(fmt.Sprint(desc, " ", seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { survivesRotation(t, combine, uint64(seed)) })
			})
		}
	}
}

func survivesRotation(t *testing.T, combine func(*drawer, *owner) proxyauth.CredentialsProvider, seed uint64) {
	const transports, workers, rotations = 3, 4, 4
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	chance := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	network := testproxy.NewNetwork()
	users := &testproxy.Accounts{Passwords: map[string]string{"ann": "0"}}
	proxy := testproxy.Start(t, testproxy.Config{Network: network, Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: users, Realm: "Lab"}}})
	origin := testproxy.StartOrigin(t, testproxy.OriginConfig{Network: network})
	store, person := &drawer{}, &owner{password: "0", typo: func() bool { return chance(4) == 0 }}
	provider := combine(store, person)

	get := func(rt *proxyauth.Transport) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin.URL(), nil)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			scanned.Error(t.Name(), err)
			return 0
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	var all []*proxyauth.Transport
	var working sync.WaitGroup
	end := make(chan struct{})
	for range transports {
		rt := &proxyauth.Transport{
			Base:        &http.Transport{Proxy: http.ProxyURL(proxy.URL()), DialContext: network.DialContext},
			Schemes:     []proxyauth.Scheme{&basic.Scheme{}},
			Credentials: provider,
		}
		defer rt.CloseIdleConnections()
		all = append(all, rt)
		for range workers {
			working.Go(func() {
				for {
					get(rt)
					select {
					case <-end:
						return
					case <-time.After(time.Duration(chance(sample.Size(60_000, 20_000))) * time.Millisecond):
					}
				}
			})
		}
	}
	for n := range rotations {
		time.Sleep(time.Duration(120+chance(120)) * time.Second)
		person.mu.Lock()
		person.password = fmt.Sprint(n + 1)
		person.mu.Unlock()
		users.SetPassword("ann", fmt.Sprint(n+1))
	}
	time.Sleep(20 * time.Minute)
	close(end)
	working.Wait()
	for _, rt := range all {
		require.Equal(t, http.StatusOK, get(rt))
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	require.Equal(t, fmt.Sprint(rotations), store.password)
	require.Equal(t, 1, person.most)
	require.LessOrEqual(t, users.Failures("ann"), 2*transports*(rotations+person.asked))
}
