package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// authenticated returns how many connections are open and somebody's.
func (l *lab) authenticated() (n int) {
	for _, conn := range l.proxy.Conns() {
		if conn.Open && conn.User != "" {
			n++
		}
	}
	return n
}

// openConns returns how many connections the proxy has.
func openConns(p *testproxy.Proxy) (n int) {
	for _, c := range p.Conns() {
		if c.Open {
			n++
		}
	}
	return n
}

// Another host, port, scheme or user info is another proxy: it is asked what it
// wants, and so is the provider, and no connection is shared.
func TestProxiesShareNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc  string
		other func(first *url.URL) *url.URL
	}{
		{"another host", func(*url.URL) *url.URL { return &url.URL{Scheme: "http", Host: "other.example.com:3128"} }},
		{"another port", func(*url.URL) *url.URL { return &url.URL{Scheme: "http", Host: "proxy.example.com:8080"} }},
		{"another scheme", func(*url.URL) *url.URL { return &url.URL{Scheme: "https", Host: "proxy.example.com:3129"} }},
		{"with user info", func(u *url.URL) *url.URL { return withUser(u, user, password) }},
		{"with another user", func(u *url.URL) *url.URL { return withUser(u, "bob", password) }},
	} {
		for _, way := range ways {
			for _, mechanism := range allMechanisms() {
				t.Run(fmt.Sprintf("%s %s %s", tt.desc, mechanism.Scheme(), way.desc), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanism}})
						other := tt.other(l.proxy.URL())
						second := l.proxy
						if other.Host != l.proxy.Addr() {
							config := testproxy.Config{Network: l.network, Addr: other.Host, Auth: []testproxy.Mechanism{mechanism}}
							if other.Scheme == "https" {
								config.TLS = ca.ServerConfig("proxy.example.com")
							}
							second = testproxy.Start(t, config)
						}
						target := l.proxy.URL()
						l.base.Proxy = func(*http.Request) (*url.URL, error) { return target, nil }
						require.NoError(t, way.reach(t.Context(), l.rt, originHost))
						first := l.tally()
						open := openConns(l.proxy)

						target = other
						require.NoError(t, way.reach(t.Context(), l.rt, originHost))
						require.EqualValues(t, 2, l.asked.Load())
						if second != l.proxy {
							require.Empty(t, l.tally())
							l.proxy = second
						}
						require.Equal(t, first, l.tally(), "as cold as the first")
						if second.Addr() == other.Host && other.User != nil && way.method == http.MethodGet {
							require.Greater(t, openConns(l.proxy), open, "a connection of its own")
						}
						require.LessOrEqual(t, len(l.rt.Stats()), 2)
					})
				})
			}
		}
	}
}

func allMechanisms() []testproxy.Mechanism {
	return []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}, &testproxy.Digest{Realm: "lab"}, &testproxy.NTLM{}}
}

// What one user info was refused says nothing of another one, and what it was
// granted neither.
func TestUserInfosAreIdentities(t *testing.T) {
	t.Parallel()
	for _, mechanism := range allMechanisms() {
		for _, way := range ways {
			t.Run(mechanism.Scheme()+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanism}})
					l.rt.Credentials = nil
					before := l.failures(mechanism)
					var target *url.URL
					l.base.Proxy = func(*http.Request) (*url.URL, error) { return target, nil }
					for range 3 {
						for _, tt := range []struct {
							user, password string
							cause          proxyauth.Cause
						}{
							{user, password, ""},
							{user, "wrong", proxyauth.CauseCredentialsRejected},
							{"bob", "hunter2", ""},
							{"", "", proxyauth.CauseNoCredentials},
						} {
							target = l.proxy.URL()
							if tt.user != "" {
								target.User = url.UserPassword(tt.user, tt.password)
							}
							l.tally()
							err := way.reach(t.Context(), l.rt, originHost)
							if tt.cause != "" {
								requireCause(t, tt.cause, err)
								continue
							}
							require.NoError(t, err)
							legs := l.proxy.Legs()
							require.Equal(t, tt.user, legs[len(legs)-1].User)
						}
					}
					require.Equal(t, before+1, l.failures(mechanism), "of the wrong password")
				})
			})
		}
	}
}

// The proxy is chosen for each request by Base.Proxy.
func TestProxyIsChosenPerRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		second := testproxy.Start(t, testproxy.Config{Network: l.network, Addr: "second.example.com:3128"})
		testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network, Addr: "second-origin.example.com:80"})
		testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network, Addr: "direct.example.com:80"})
		l.base.Proxy = func(req *http.Request) (*url.URL, error) {
			switch req.URL.Host {
			case "second-origin.example.com":
				return second.URL(), nil
			case "direct.example.com":
				return nil, nil
			case "error.example.com":
				return nil, errors.New("no PAC file")
			}
			return l.proxy.URL(), nil
		}
		for range 3 {
			l.get("http://direct.example.com/")
			l.get("http://second-origin.example.com/")
			l.get(httpOrigin + "/")
			_, err := l.rt.RoundTrip(l.request(http.MethodGet, "http://error.example.com/", nil))
			require.EqualError(t, err, "no PAC file")
		}
		require.Len(t, l.proxy.Legs(), 4)
		require.Len(t, second.Legs(), 3)
		require.LessOrEqual(t, len(l.rt.Stats()), 2)
	})
}

// The table of proxies is bounded. What is forgotten leaves no connection behind.
func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		target := l.proxy.URL()
		l.base.Proxy = func(*http.Request) (*url.URL, error) { return target, nil }
		crawl := func(n int) {
			for i := range n {
				target = &url.URL{Scheme: "http", Host: fmt.Sprintf("proxy%d.example.com:3128", i)}
				requireCause(t, proxyauth.CauseProxyUnreachable, fetch(t.Context(), l.rt, originHost))
			}
			target = l.proxy.URL()
		}
		l.get(httpOrigin + "/")
		crawl(maxProxies - 1)
		require.Equal(t, 1, openConns(l.proxy))

		l.proxy.Reset()
		l.get(httpOrigin + "/")
		l.legs("GET / Basic -> 200") // it was still known

		crawl(maxProxies + 10)
		synctest.Wait()
		require.Zero(t, openConns(l.proxy))
		l.proxy.Reset()
		l.get(httpOrigin + "/")
		l.legs("GET / -> 407", "= GET / Basic -> 200")
	})
}

// What has been refused stays refused when the proxy's entry has gone, for a
// directory does not forget either, and the provider is told.
func TestRefusalsOutliveTheTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, w := newWitnessedLab(t, &testproxy.Basic{Realm: "lab"}, always("wrong"))
		target := l.proxy.URL()
		l.base.Proxy = func(*http.Request) (*url.URL, error) { return target, nil }
		requireCause(t, proxyauth.CauseCredentialsRejected, fetch(t.Context(), l.rt, originHost))
		for i := range maxProxies {
			target = &url.URL{Scheme: "http", Host: fmt.Sprintf("proxy%d.example.com:3128", i)}
			requireCause(t, proxyauth.CauseProxyUnreachable, fetch(t.Context(), l.rt, originHost))
		}
		target = l.proxy.URL()
		requireCause(t, proxyauth.CauseCredentialsRejected, fetch(t.Context(), l.rt, originHost))
		require.Equal(t, 1, l.users.Failures(user))

		w.answer = untilRejected("wrong", password)
		target = withUser(target, "bob", "") // the provider does not care
		require.NoError(t, fetch(t.Context(), l.rt, originHost))
		require.Equal(t, 1, l.users.Failures(user))
	})
}

// A request that Reset overtakes goes on with what it knows. Its connections are
// closed when it has ended.
func TestResetInMidRequest(t *testing.T) {
	t.Parallel()
	for _, mechanism := range allMechanisms() {
		t.Run(mechanism.Scheme(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanism}})
				l.rt.Credentials = &witness{answer: func(*proxyauth.CredentialsRequest) (string, error) {
					l.rt.Reset()
					return password, nil
				}}
				require.NoError(t, fetch(t.Context(), l.rt, originHost))
				synctest.Wait()
				require.Len(t, l.proxy.Legs(), map[string]int{"Basic": 2, "Digest": 2, "NTLM": 3}[mechanism.Scheme()])
				require.Zero(t, openConns(l.proxy), "of a proxy that is forgotten")
			})
		})
	}
}

// A proxy in use is kept beyond the bound, or Reset: its request is not affected.
func TestProxyInUseIsKept(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{false, true} {
		t.Run(fmt.Sprint("reset: ", reset), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, gate := newGatedLab(t, &testproxy.Basic{Realm: "lab"})
				target := l.proxy.URL()
				l.base.Proxy = func(*http.Request) (*url.URL, error) { return target, nil }
				done := make(chan error)
				go func() { done <- fetch(t.Context(), l.rt, originHost) }()
				synctest.Wait()
				if reset {
					l.rt.Reset()
				}
				for i := range maxProxies + 10 {
					target = &url.URL{Scheme: "http", Host: fmt.Sprintf("proxy%d.example.com:3128", i)}
					requireCause(t, proxyauth.CauseProxyUnreachable, fetch(t.Context(), l.rt, originHost))
				}
				close(gate)
				require.NoError(t, <-done)
				target = l.proxy.URL()
				if reset {
					synctest.Wait()
					require.Zero(t, openConns(l.proxy), "of a proxy that is forgotten")
					return
				}
				l.proxy.Reset()
				l.get(httpOrigin + "/")
				l.legs("GET / Basic -> 200")
			})
		})
	}
}

// A refusal that Reset overtakes says nothing of the credentials: the provider is not told
// to drop them. Its target is denied.
func TestRefusalThatResetOvertakesDeniesItsTarget(t *testing.T) {
	t.Parallel()
	eachScheme(t, "", func(t testing.TB, m testproxy.Mechanism, w way) {
		if m.Scheme() == "Digest" {
			return // after Reset it answers the challenge of a nonce that may be out of date, and that counts
		}
		l, provider := newCaseLab(t, password, m)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.hangUp()
		l.proxy.Reset()
		l.proxy.SetFault(testproxy.OnLeg(func(leg *testproxy.Leg) bool {
			if !isCompleting(leg) || !isFor(leg, deniedHost) {
				return false
			}
			time.Sleep(time.Second)
			return true
		}, &testproxy.Action{Status: http.StatusProxyAuthRequired, Challenges: []string{m.Scheme() + ` realm="lab"`}}))
		time.AfterFunc(time.Second/2, l.rt.Reset)
		for range 2 {
			requireCause(t, proxyauth.CauseDenied, w.reach(t.Context(), l.rt, deniedHost))
		}
		synctest.Wait()
		require.Empty(t, provider.rejected)
		require.Len(t, l.completing(), 1)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	})
}
