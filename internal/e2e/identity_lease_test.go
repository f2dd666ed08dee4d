package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// A leaser is a provider of ann's passwords, each of which is good for a minute,
// and remembers what it is told.
type leaser struct {
	witness
	grant func(n int) (string, time.Time, error) // the n-th time, counted from 1; nil means as renew does

	mu sync.Mutex
	n  int
}

const lease = time.Minute

func (l *leaser) Credentials(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	l.asked = append(l.asked, req)
	password, until, err := l.grant(l.n)
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password), Expires: until}, err
}

// leasing returns a provider that calls ask for credentials and when they expire.
func leasing(ask func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, time.Time, error)) proxyauth.CredentialsProvider {
	return proxyauth.CredentialsFunc(func(ctx context.Context, req *proxyauth.CredentialsRequest) (c proxyauth.Credentials, err error) {
		var expires time.Time
		c, expires, err = ask(ctx, req)
		c.Expires = expires
		return c, err
	})
}

// leased returns the password of the n-th lease.
func leased(n int) string { return fmt.Sprintf("leased%d", n) }

// newLeasedLab returns a lab whose proxy knows the password that was leased last
// and no other.
func newLeasedLab(t testing.TB, m testproxy.Mechanism) (*lab, *leaser) {
	l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m}})
	p := new(leaser)
	p.grant = func(n int) (string, time.Time, error) {
		l.know(m, leased(n))
		return leased(n), time.Now().Add(lease), nil
	}
	l.rt.Credentials = p
	return l, p
}

// know changes the password of ann at the proxy.
func (l *lab) know(m testproxy.Mechanism, password string) {
	if m, ok := m.(*testproxy.NTLM); ok {
		m.Server.Users = map[string]string{user: password}
	}
	l.users.SetPassword(user, password)
}

// requireLeases requires the provider to have been asked n times, each answer to
// have been accepted, and none refused.
func (l *lab) requireLeases(p *leaser, n int) {
	l.t.Helper()
	synctest.Wait() // the observer is told beside the request
	var want []string
	for i := range n {
		want = append(want, leased(i+1))
	}
	require.Len(l.t, p.asked, n)
	require.Equal(l.t, want, p.accepted)
	require.Empty(l.t, p.rejected)
	l.requireUnrefused()
}

// TestLease states the legs of requests while a password is good and when it is no
// longer: it is replaced without another one.
func TestLease(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scheme        string
		way           way
		cold, renewed []string
	}{
		{"Basic", forwarded, []string{"GET / -> 407", "= GET / Basic -> 200"}, []string{"GET / -> 407", "GET / Basic -> 200"}},
		{"Digest", forwarded, []string{"GET / -> 407", "= GET / Digest -> 200"}, []string{"GET / -> 407", "= GET / Digest -> 200"}},
		{"NTLM", forwarded, []string{"GET / -> 407", "open NTLM -> 407", "= GET / NTLM -> 200"}, []string{"GET / -> 407", "open NTLM -> 407", "= GET / NTLM -> 200"}},
		{"Basic", tunnelled, []string{"CONNECT -> 407", "= CONNECT Basic -> 200"}, []string{"CONNECT -> 407", "CONNECT Basic -> 200"}},
		{"Digest", tunnelled, []string{"CONNECT -> 407", "= CONNECT Digest -> 200"}, []string{"CONNECT -> 407", "= CONNECT Digest -> 200"}},
		{"NTLM", tunnelled, []string{"CONNECT -> 407", "= CONNECT NTLM -> 407", "= CONNECT NTLM -> 200"}, []string{"CONNECT -> 407", "CONNECT NTLM -> 407", "= CONNECT NTLM -> 200"}},
	} {
		for _, gone := range []time.Duration{0, time.Hour} {
			bubble(t, fmt.Sprintf("%s, %s, %v after", tt.scheme, tt.way.desc, gone), func(t *testing.T) {
				l, p := newLeasedLab(t, mechanismOf(tt.scheme))
				l.get(tt.way.target("/"))
				l.legs(tt.cold...)
				time.Sleep(lease - 1)
				l.get(tt.way.target("/"))
				l.requireLeases(p, 1)
				l.hangUp()
				l.proxy.Reset()

				time.Sleep(1 + gone)
				l.get(tt.way.target("/"))
				l.legs(tt.renewed...)
				l.requireLeases(p, 2)
				require.Equal(t, p.asked[0].Realm, p.asked[1].Realm)
				require.Equal(t, tt.scheme, p.asked[1].Scheme)
				require.Empty(t, p.asked[1].Rejected)
				for range 3 {
					l.hangUp()
					l.get(tt.way.target("/"))
				}
				l.requireLeases(p, 2)
			})
		}
	}
}

// What the old password of the same user has opened goes on serving, and the
// provider is not asked for what is not to be sent.
func TestLeaseOfConnections(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		m := &testproxy.NTLM{}
		bubble(t, w.desc, func(t *testing.T) {
			l, p := newLeasedLab(t, m)
			l.get(w.target("/"))
			for range 3 {
				time.Sleep(lease)
				l.proxy.Reset()
				l.get(w.target("/"))
				if w.method == http.MethodGet {
					l.legs("GET / -> 200")
				} else {
					l.legs()
				}
				l.requireLeases(p, 1)
			}
			// Nor does the new one put an end to it.
			hold := make(chan struct{})
			l.origin.Reset()
			var held atomic.Bool
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				if leg.Status == http.StatusOK && held.CompareAndSwap(false, true) {
					<-hold
				}
				return nil
			})
			if w.method == http.MethodConnect {
				close(hold)
				require.NoError(t, tunnel(t.Context(), l.rt, originHost))
				l.requireLeases(p, 2)
				l.proxy.Reset()
				l.get(w.target("/"))
				l.legs()
				return
			}
			errs := make(chan error)
			go func() { errs <- fetch(t.Context(), l.rt, originHost) }()
			synctest.Wait()
			l.get(w.target("/")) // on a new connection
			l.requireLeases(p, 2)
			close(hold)
			require.NoError(t, <-errs)
			l.legs("GET / -> 200", "GET / -> 407", "open NTLM -> 407", "= GET / NTLM -> 200")
			require.Equal(t, 2, l.authenticated())
		})
	}
}

// What was made of a password, for a request that was cancelled then, is not sent
// when the time of the password has passed.
func TestLeaseOfTokens(t *testing.T) {
	t.Parallel()
	const short = tokenLife / 2
	bubble(t, "", func(t *testing.T) {
		m := &testproxy.NTLM{}
		l, p := newLeasedLab(t, m)
		p.grant = func(n int) (string, time.Time, error) {
			l.know(m, leased(n))
			return leased(n), time.Now().Add(short), nil
		}
		l.get(httpOrigin + "/")
		l.hangUp()
		hold := make(chan struct{})
		l.proxy.SetFault(testproxy.Once(func(*testproxy.Leg) *testproxy.Action {
			<-hold
			return nil
		}))
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error)
		go func() { errs <- fetch(ctx, l.rt, originHost) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-errs, context.Canceled)
		close(hold)
		synctest.Wait()
		l.proxy.Reset()
		time.Sleep(short)
		l.get(httpOrigin + "/")
		require.Zero(t, l.failures(m))
		require.Empty(t, p.rejected)
	})
}

// Of another user there are other connections.
func TestLeaseOfAnotherUser(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}}})
		names := []string{user, "bob"}
		l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			c := credentialsOf(names[0], map[string]string{user: password, "bob": wrongPassword}[names[0]])
			names = names[1:]
			c.Expires = time.Now().Add(lease)
			return c, nil
		})
		l.get(w.target("/"))
		time.Sleep(lease)
		require.NoError(t, tunnel(t.Context(), l.rt, originHost)) // which asks for bob
		l.proxy.Reset()
		l.get(w.target("/"))
		legs := l.proxy.Legs()
		require.NotEmpty(t, legs)
		require.Equal(t, "bob", legs[len(legs)-1].User)
		require.Empty(t, l.proxy.Violations())
	})
}

// Many requests at once ask once.
func TestLeaseIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, m := range allMechanisms() {
		eachWay(t, m.Scheme(), func(t *testing.T, w way) {
			l, p := newLeasedLab(t, mechanismOf(m.Scheme()))
			for i := range 3 {
				for _, err := range together(50, func(i int) error { return w.reach(t.Context(), l.rt, originHost) }) {
					require.NoError(t, err)
				}
				l.requireLeases(p, i+1)
				l.hangUp()
				time.Sleep(lease)
			}
			require.Empty(t, l.proxy.Violations())
		})
	}
}

// TestLeaseEnds has a provider that has nothing new, or nothing at all.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	later := func() time.Time { return time.Now().Add(lease) }
	for _, tt := range []struct {
		desc  string
		again func() (string, time.Time, error)
		cause proxyauth.Cause // 0 if the request passes
		is    error
	}{
		{"fails", func() (string, time.Time, error) { return "", time.Time{}, errVault }, proxyauth.CauseNoCredentials, errVault},
		{"has none", func() (string, time.Time, error) { return "", time.Time{}, proxyauth.ErrNoCredentials }, proxyauth.CauseNoCredentials, proxyauth.ErrNoCredentials},
		{"has an old one", func() (string, time.Time, error) { return leased(1), time.Now(), nil }, proxyauth.CauseNoCredentials, nil},
		{"has a wrong one", func() (string, time.Time, error) { return "wrong", later(), nil }, proxyauth.CauseCredentialsRejected, proxyauth.ErrRejected},
		{"has the same, for longer", func() (string, time.Time, error) { return leased(1), later(), nil }, "", nil},
		{"has the same, for ever", func() (string, time.Time, error) { return leased(1), time.Time{}, nil }, "", nil},
	} {
		for _, m := range allMechanisms() {
			eachWay(t, tt.desc+", "+m.Scheme(), func(t *testing.T, w way) {
				m := mechanismOf(m.Scheme())
				l, p := newLeasedLab(t, m)
				p.grant = func(n int) (string, time.Time, error) {
					if n > 1 {
						return tt.again()
					}
					l.know(m, leased(1))
					return leased(1), later(), nil
				}
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				time.Sleep(lease)
				l.newConns()
				if tt.cause == "" {
					for range 2 {
						require.NoError(t, w.reach(t.Context(), l.rt, originHost))
						l.hangUp()
					}
					require.Equal(t, []string{leased(1)}, p.accepted, "it was accepted before")
					require.Len(t, p.asked, 2)
					for _, leg := range l.proxy.Legs() {
						require.NotEmpty(t, leg.Scheme, "what the proxy knows has not changed")
					}
					return
				}
				e := requireCause(t, tt.cause, w.reach(t.Context(), l.rt, originHost))
				if tt.is != nil {
					require.ErrorIs(t, e, tt.is)
				}
				if tt.cause == proxyauth.CauseNoCredentials {
					require.Empty(t, l.schemesSent())
					l.requireUnrefused()
				}

				// It is asked again for the next request.
				p.grant = func(n int) (string, time.Time, error) {
					l.know(m, "another")
					return "another", later(), nil
				}
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			})
		}
	}
}

// Where there is no other password for the scheme, the proxy says what else it
// offers that does not reveal the secret; nothing is sent unasked to a proxy that is known.
func TestLeaseEndsForAScheme(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}, &testproxy.Digest{Realm: "lab"}}})
		l.rt.Schemes, l.rt.Preemptive = []proxyauth.Scheme{&ntlm.Scheme{}, &digest.Scheme{}}, true
		asked := 0
		l.rt.Credentials = proxyauth.CredentialsFunc(func(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			asked++
			if req.Scheme == "NTLM" && asked > 1 || req.Scheme == "Digest" && asked < 4 {
				return proxyauth.Credentials{}, proxyauth.ErrNoCredentials
			}
			c := credentialsOf(user, password)
			c.Expires = time.Now().Add(lease)
			return c, nil
		})
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, []string{"NTLM"}, l.schemesSent())
		time.Sleep(lease)
		l.newConns()
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, map[string]int{w.method + " 407": 1, w.method + " Digest 200": 1}, l.tally())
	})
}

// The providers of package credentials hand on what a source knows of the time.
func TestLeaseThroughProviders(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		m := &testproxy.Basic{Realm: "lab"}
		l, p := newLeasedLab(t, m)
		l.rt.Credentials = credentials.Chain(credentials.ProxyURL(), &credentials.Cached{Source: p})
		for i := range 3 {
			for range 2 {
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			}
			l.requireLeases(p, i+1)
			time.Sleep(lease)
		}
		require.Zero(t, l.users.Failures(user))
	})
}

// TestLeaseAllocations looks at the clock for each request, and no more.
func TestLeaseAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, tt := range budgets {
		t.Run(tt.desc, func(t *testing.T) {
			allocs := func(until time.Time) float64 {
				rt := wrapped(t, cannedProxy{tt.challenge}.base())
				rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
					c := credentialsOf(user, password)
					c.Expires = until
					return c, nil
				})
				return testing.AllocsPerRun(500, getter(t, rt, httpOrigin))
			}
			require.LessOrEqual(t, allocs(time.Now().Add(time.Hour)), allocs(time.Time{}))
		})
	}
}
