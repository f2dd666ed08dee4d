package e2e_test

import (
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

type causes = map[proxyauth.Cause]uint64

// counted returns the counters of the lab's proxy.
func (l *lab) counted() proxyauth.ProxyStats {
	l.t.Helper()
	for _, s := range l.rt.Stats() {
		if s.Proxy == l.proxy.URL().String() {
			return s
		}
	}
	return proxyauth.ProxyStats{}
}

// requireCounted requires the counters of requests, legs, challenges, handshakes
// and rejections.
func (l *lab) requireCounted(want [5]uint64, failures causes) {
	l.t.Helper()
	s := l.counted()
	require.Equal(l.t, want, [5]uint64{s.Requests, s.Legs, s.Challenges, s.Handshakes, s.Rejections})
	if failures == nil {
		failures = causes{}
	}
	require.Equal(l.t, failures, s.Failures)
}

// TestStats states what a request to a proxy that is not known adds to each
// counter, and one on the same, and one on a new connection. The proxy's own count
// of legs is the same.
func TestStats(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scheme              string
		way                 way
		cold, warm, newConn [5]uint64
	}{
		{"Basic", forwarded, [5]uint64{1, 2, 1, 1, 0}, [5]uint64{2, 3, 1, 1, 0}, [5]uint64{3, 4, 1, 1, 0}},
		{"Digest", forwarded, [5]uint64{1, 2, 1, 1, 0}, [5]uint64{2, 3, 1, 1, 0}, [5]uint64{3, 4, 1, 1, 0}},
		{"NTLM", forwarded, [5]uint64{1, 3, 2, 1, 0}, [5]uint64{2, 4, 2, 1, 0}, [5]uint64{3, 6, 3, 2, 0}},
		{"Basic", tunnelled, [5]uint64{1, 2, 1, 1, 0}, [5]uint64{1, 2, 1, 1, 0}, [5]uint64{2, 3, 1, 1, 0}},
		{"Digest", tunnelled, [5]uint64{1, 2, 1, 1, 0}, [5]uint64{1, 2, 1, 1, 0}, [5]uint64{2, 3, 1, 1, 0}},
		{"NTLM", tunnelled, [5]uint64{1, 3, 2, 1, 0}, [5]uint64{1, 3, 2, 1, 0}, [5]uint64{2, 5, 3, 2, 0}},
	} {
		bubble(t, tt.scheme+", "+tt.way.desc, func(t *testing.T) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanismOf(tt.scheme)}})
			require.Empty(t, l.rt.Stats())
			for i, want := range [][5]uint64{tt.cold, tt.warm, tt.newConn} {
				if i == 2 {
					l.hangUp()
				}
				l.get(tt.way.target("/"))
				l.requireCounted(want, nil)
				require.Len(t, l.proxy.Legs(), int(want[1]))
			}
		})
	}
}

// TestStatsOfFailures counts each request that does not get through, once, by its
// cause.
func TestStatsOfFailures(t *testing.T) {
	t.Parallel()
	for i, tt := range failures() {
		for _, w := range ways {
			if tt.only != "" && tt.only != w.method {
				continue
			}
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				f := failures()[i]
				var l *lab
				change := f.change
				f.change = func(lab *lab) {
					if l = lab; change != nil {
						change(l)
					}
				}
				e := f.fail(t, w, 0)
				stats := l.rt.Stats()
				require.Len(t, stats, 1)
				require.EqualValues(t, 1, stats[0].Requests)
				require.Equal(t, causes{e.Cause: 1}, stats[0].Failures)
				require.Equal(t, e.Proxy, stats[0].Proxy)
				require.EqualValues(t, len(l.proxy.Legs()), stats[0].Legs)
			})
		}
	}
}

// A refused password is counted as the one rejection that it is, each request as a
// failure.
func TestStatsOfRejections(t *testing.T) {
	t.Parallel()
	for i, mechanism := range allMechanisms() {
		eachWay(t, mechanism.Scheme(), func(t *testing.T, w way) {
			l := newLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]})
			l.rt = l.transport(user, "wrong")
			for _, err := range together(20, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
				requireCause(t, proxyauth.CauseCredentialsRejected, err)
			}
			s := l.counted()
			require.EqualValues(t, 20, s.Requests)
			require.EqualValues(t, 1, s.Rejections)
			require.EqualValues(t, 1, s.Handshakes)
			require.Equal(t, causes{proxyauth.CauseCredentialsRejected: 20}, s.Failures)
			require.EqualValues(t, len(l.proxy.Legs()), s.Legs)
			challenged := 0
			for _, leg := range l.proxy.Legs() {
				if leg.Status == 407 {
					challenged++
				}
			}
			require.EqualValues(t, challenged, s.Challenges)
		})
	}
}

// What is tried in vain counts as well.
func TestStatsOfFallback(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{
			&testproxy.NTLM{Server: &ntlmserver.Server{Faults: ntlmserver.Always(ntlmserver.NTLMv1Only)}}, &testproxy.Basic{Realm: "lab"},
		}})
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		s := l.counted()
		require.EqualValues(t, 2, s.Handshakes)
		require.EqualValues(t, len(l.proxy.Legs()), s.Legs)
		require.EqualValues(t, s.Legs-1, s.Challenges)
		require.Empty(t, s.Failures)
	})
}

// TestStatsOutliveTheProxy keeps counting where all else is forgotten.
func TestStatsOutliveTheProxy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		forget func(l *lab)
	}{
		{"Reset", func(l *lab) { l.rt.Reset() }},
		{"eviction", func(l *lab) {
			next := l.base.Proxy
			for i := range maxProxies {
				l.base.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: fmt.Sprintf("other%d.example.com:3128", i)})
				require.Error(l.t, fetch(l.t.Context(), l.rt, originHost))
			}
			l.base.Proxy = next
		}},
	} {
		bubble(t, tt.desc, func(t *testing.T) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
			l.rt.Logger = nil
			l.get(httpOrigin + "/")
			tt.forget(l)
			l.requireCounted([5]uint64{1, 2, 1, 1, 0}, nil)
			l.get(httpOrigin + "/")
			require.EqualValues(t, 2, l.asked.Load(), "it was not forgotten")
			l.requireCounted([5]uint64{2, 4, 2, 2, 0}, nil)
		})
	}
}

// Proxies are told apart by their URLs, user infos are not.
func TestStatsPerProxy(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		second := testproxy.Start(t, testproxy.Config{Network: l.network, Addr: "second.example.com:80"})
		l.rt.Credentials = nil
		for _, u := range []*url.URL{
			withUser(l.proxy.URL(), user, password),
			withUser(l.proxy.URL(), "bob", wrongPassword),
			{Scheme: "http", Host: "Second.example.com"},
			second.URL(),
		} {
			l.base.Proxy = http.ProxyURL(u)
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		}
		stats := l.rt.Stats()
		require.Len(t, stats, 2)
		require.Equal(t, "http://proxy.example.com:3128", stats[0].Proxy)
		require.EqualValues(t, 2, stats[0].Requests)
		require.Equal(t, "http://second.example.com:80", stats[1].Proxy)
		require.EqualValues(t, 2, stats[1].Requests)
		requireNoSecret(t, stats)

		// A snapshot is the caller's.
		stats[0].Failures[proxyauth.CauseDenied] = 7
		require.Empty(t, l.rt.Stats()[0].Failures)
	})
}

// TestStatsOfTheMoment shows why requests wait or fail at the moment.
func TestStatsOfTheMoment(t *testing.T) {
	t.Parallel()
	now := func(l *lab) [4]int {
		s := l.counted()
		return [4]int{s.Waiting, s.Doubted, s.Paused, s.Refused}
	}
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		withBasic := func(a *testproxy.Action) testproxy.Fault { return testproxy.OnScheme("Basic", a) }
		l.proxy.SetFault(withBasic(testproxy.StallAt(testproxy.BeforeAnswer)))
		var waiting atomic.Int64
		l.rt.Trace = &proxyauth.Trace{Waiting: func(_ context.Context, info proxyauth.TraceInfo) {
			require.Equal(t, "Basic", info.Scheme)
			waiting.Add(1)
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { require.Error(t, w.reach(ctx, l.rt, originHost)) })
		}
		time.Sleep(3 * time.Second) // two of them wait for the first contact, for 2 s
		require.Equal(t, [4]int{2, 0, 0, 0}, now(l), "one is under way")
		require.EqualValues(t, 2, waiting.Load())
		cancel()
		wg.Wait()
		time.Sleep(2 * time.Minute) // no answer: a loss
		require.Equal(t, [4]int{}, now(l))

		l.proxy.SetFault(withBasic(testproxy.DropAt(testproxy.BeforeAnswer)))
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, [4]int{0, 0, 1, 0}, now(l))
		l.proxy.SetFault(nil)
		time.Sleep(time.Minute)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, [4]int{}, now(l))

		l.users.SetPassword(user, "changed")
		l.hangUp()
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, [4]int{0, 1, 0, 0}, now(l))
		l.rt.Reset()
		require.Equal(t, [4]int{}, now(l))
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, [4]int{0, 0, 0, 1}, now(l))
	})
}

// TestStatsAreBounded counts beyond a number of proxies under a common name.
func TestStatsAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		l := newLab(t, testproxy.Config{})
		l.rt.Logger = nil
		const more = 50
		n := 0
		l.base.Proxy = func(*http.Request) (*url.URL, error) {
			n++
			return &url.URL{Scheme: "http", Host: fmt.Sprintf("p%d.example.com:3128", n)}, nil
		}
		for range maxStats + more {
			requireCause(t, proxyauth.CauseProxyUnreachable, tunnel(t.Context(), l.rt, originHost))
		}
		stats := l.rt.Stats()
		require.Len(t, stats, maxStats+1)
		i := slices.IndexFunc(stats, func(s proxyauth.ProxyStats) bool { return s.Proxy == "other" })
		require.Equal(t, proxyauth.ProxyStats{Proxy: "other", Requests: more, Failures: causes{proxyauth.CauseProxyUnreachable: more}}, stats[i])
		require.True(t, slices.IsSortedFunc(stats, func(a, b proxyauth.ProxyStats) int { return strings.Compare(a.Proxy, b.Proxy) }))
	})
}

// TestStatsJSON states the form that monitoring relies on: it must not change.
func TestStatsJSON(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.get(httpOrigin + "/")
		l.users.SetPassword(user, "changed")
		require.Error(t, fetch(t.Context(), l.rt, originHost))
		l.proxy.Close()
		require.Error(t, tunnel(t.Context(), l.rt, originHost))
		want := `[{"proxy":"http://proxy.example.com:3128","requests":3,"legs":3,"challenges":2,"handshakes":1,"rejections":0,` +
			`"failures":{"denied":1,"proxy_unreachable":1},"waiting":0,"doubted":1,"paused":0,"refused":0}]`
		got, err := json.Marshal(l.rt.Stats())
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.Equal(t, want, expvar.Func(func() any { return l.rt.Stats() }).String())
	})
	t.Run("nothing", func(t *testing.T) {
		got, err := json.Marshal((&proxyauth.Transport{Schemes: allSchemes()}).Stats())
		require.NoError(t, err)
		require.Equal(t, "[]", string(got))
		require.Nil(t, new(proxyauth.Transport).Stats(), "of a Transport that is not configured")
	})
}

// TestStatsConcurrently reads while requests are counted: no number ever falls, and
// none is lost.
func TestStatsConcurrently(t *testing.T) {
	t.Parallel()
	const n, each = 8, 20
	bubble(t, "", func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.rt.Schemes = []proxyauth.Scheme{&ntlm.Scheme{}, basic.Scheme{}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, err := range together(n, func(i int) error {
				for range each {
					if err := mixed(ways, i).reach(t.Context(), l.rt, originHost); err != nil {
						return err
					}
				}
				return nil
			}) {
				require.NoError(t, err)
			}
		}()
		var last proxyauth.ProxyStats
		for under := true; under; {
			select {
			case <-done:
				under = false
			default:
			}
			s := l.counted()
			require.GreaterOrEqual(t, s.Requests, last.Requests)
			require.GreaterOrEqual(t, s.Legs, last.Legs)
			require.GreaterOrEqual(t, s.Challenges, last.Challenges)
			last = s
		}
		require.EqualValues(t, n*each, last.Requests)
		require.EqualValues(t, len(l.proxy.Legs()), last.Legs)
	})
}

// TestUnansweredCounts has a proxy that closes the connections of requests which it
// does not answer: a rise in that is to be seen as well.
func TestUnansweredCounts(t *testing.T) {
	t.Parallel()
	for _, mechanism := range allMechanisms() {
		eachWay(t, mechanism.Scheme(), func(t *testing.T, w way) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{mechanism}})
			var log strings.Builder
			l.rt.Logger = slog.New(slog.NewTextHandler(&log, nil))
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.hangUp()
			l.proxy.SetFault(testproxy.Always(testproxy.DropAt(testproxy.BeforeAnswer)))
			for range 3 {
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
			}
			if w.method == http.MethodGet { // net/http goes on making a tunnel
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				require.ErrorIs(t, w.reach(ctx, l.rt, originHost), context.Canceled)
			}
			failures := uint64(0)
			for _, n := range l.rt.Stats()[0].Failures {
				failures += n
			}
			require.EqualValues(t, 3, failures)
			require.Equal(t, 3, strings.Count(log.String(), "proxyauth: failed"))
		})
	}
}
