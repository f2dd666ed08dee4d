package e2e_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// latency is how long a proxy takes for a request that it lets through to a host.
func latency(host string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(host))
	return time.Duration(30+h.Sum32()%340) * time.Millisecond
}

// mostWait is the longest time for which a request waits for its turn.
const mostWait = 15 * time.Second

// A crawl is a program whose password is right. Its proxy treats hosts as their names say:
// see treat.
type crawl struct {
	*lab
	auth     testproxy.Mechanism
	provider *witness
	down     atomic.Bool // the proxy closes new connections

	mu      sync.Mutex
	healthy int // requests that would succeed without the library's limits
	failed  []error
	longest time.Duration // that one took, but for latency
	waited  int           // of them, any time
}

func newCrawl(t testing.TB, m testproxy.Mechanism) *crawl {
	c := &crawl{auth: m}
	c.lab = newLab(t, testproxy.Config{
		Auth: []testproxy.Mechanism{m}, Fault: c.treat, NoRecord: true,
		ConnFault: func(int) testproxy.ConnAction {
			if c.down.Load() {
				return testproxy.DropConn
			}
			return testproxy.ServeConn
		},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return c.network.DialContext(ctx, network, net.JoinHostPort(originHost, port))
		},
	})
	c.base.MaxIdleConnsPerHost = 100
	c.rt.Logger = nil // thousands of requests
	c.provider = &witness{answer: always(password)}
	c.rt.Credentials = c.provider
	return c
}

// treat denies hosts whose name begins with deny, lets 30 s pass before it gives up those
// with dead, and closes the connection for those with clos.
func (c *crawl) treat(leg *testproxy.Leg) *testproxy.Action {
	if leg.Status != http.StatusOK {
		return nil
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(leg.Target, "http://"), ".")
	if strings.HasPrefix(host, "dead") {
		time.Sleep(30 * time.Second)
		return &testproxy.Action{Status: http.StatusGatewayTimeout}
	}
	time.Sleep(latency(host))
	switch {
	case strings.HasPrefix(host, "deny"):
		return denying(c.auth, host)(leg)
	case strings.HasPrefix(host, "clos"):
		return testproxy.DropAt(testproxy.BeforeAnswer)
	}
	return nil
}

// reach makes a request. One that is healthy should succeed.
func (c *crawl) reach(ctx context.Context, w way, host string, healthy bool) error {
	start := time.Now()
	err := w.reach(ctx, c.rt, host+".example.com")
	wait := time.Since(start) - latency(host)
	if !healthy {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.healthy++
	if wait > 0 {
		c.waited++
	}
	c.longest = max(c.longest, wait)
	if err != nil {
		c.failed = append(c.failed, err)
	}
	return err
}

// visit has workers visit n hosts, each one after the other, or a sample of them.
func (c *crawl) visit(t testing.TB, w way, workers, n int, name func(i int) string) {
	n = sample.Size(n*2/5, n)
	var next atomic.Int64
	together(workers, func(int) error {
		for i := next.Add(1); i <= int64(n); i = next.Add(1) {
			host := name(int(i))
			c.reach(t.Context(), w, host, strings.HasPrefix(host, "host"))
		}
		return nil
	})
}

// work has 16 workers make requests for d, with three seconds between them.
func (c *crawl) work(t testing.TB, w way, d time.Duration, healthy func() bool) {
	end := time.Now().Add(d)
	together(16, func(j int) error {
		time.Sleep(time.Duration(j) * 180 * time.Millisecond)
		for i := j; time.Now().Before(end); i++ {
			c.reach(t.Context(), w, fmt.Sprint("host", i%100), healthy())
			time.Sleep(3 * time.Second)
		}
		return nil
	})
}

// requireHealthy requires that no healthy request failed, and that none waited longer.
func (c *crawl) requireHealthy(t testing.TB, longest time.Duration) {
	t.Helper()
	require.Greater(t, c.healthy, 100)
	require.Empty(t, c.failed, "of %d", c.healthy)
	require.LessOrEqual(t, c.longest, longest)
	require.Empty(t, c.provider.rejected)
}

// some names the ith host by one of the kinds, with its chance in percent, or a healthy one.
func some(kinds map[string]int) func(i int) string {
	return func(i int) string {
		x := rand.New(rand.NewPCG(uint64(i), 7)).IntN(100)
		for _, kind := range []string{"dead", "deny", "clos"} {
			if x -= kinds[kind]; x < 0 {
				return fmt.Sprint(kind, i)
			}
		}
		return fmt.Sprint("host", i)
	}
}

// A right password serves all healthy hosts of a crawl, however many others are dead,
// closed or, one at a time, denied.
func TestCrawlWithARightPassword(t *testing.T) {
	t.Parallel()
	for row, tt := range []struct {
		desc    string
		workers int
		name    func(i int) string
		longest time.Duration // wait of a healthy request
	}{
		{"all are healthy", 64, some(nil), 0},
		{"a tenth is dead", 64, some(map[string]int{"dead": 10}), 0},
		{"a tenth is closed", 64, some(map[string]int{"clos": 10}), 2 * time.Second},
		{"a third of 50 is denied", 64, func(i int) string { return some(map[string]int{"deny": 33})(i * 7 % 50) }, 6 * time.Second},
		{"each third is denied", 1, func(i int) string { return fmt.Sprint([]string{"host", "host", "deny"}[i%3], i) }, 0},
	} {
		sampleSchemes(t, row, tt.desc, func(t testing.TB, m testproxy.Mechanism, w way) {
			c := newCrawl(t, m)
			require.NoError(t, c.reach(t.Context(), w, "first", true))
			c.visit(t, w, tt.workers, 500, tt.name)
			c.requireHealthy(t, tt.longest)
		})
	}
	// With two that are dead, the others may wait for 20 s, which is longer than they do.
	sampleSchemes(t, 0, "the first is dead", func(t testing.TB, m testproxy.Mechanism, w way) {
		c := newCrawl(t, m)
		c.visit(t, w, 64, 500, func(i int) string { return fmt.Sprint([]string{"dead", "host"}[min(i/2, 1)], i) })
		c.requireHealthy(t, 12*time.Second)
	})
}

// Where a third of the hosts is denied to 64 workers, three refusals in a row may pause a
// right password for longer than a request waits. Then requests fail that say when to try
// again, nothing is sent for them, and the provider is not told that the password is wrong.
func TestCrawlWithManyDeniedHosts(t *testing.T) {
	t.Parallel()
	for row, tt := range []struct {
		desc  string
		kinds map[string]int
	}{
		{"a third is denied", map[string]int{"deny": 33}},
		{"a tenth is dead, a third denied", map[string]int{"dead": 10, "deny": 33}},
	} {
		sampleSchemes(t, row, tt.desc, func(t testing.TB, m testproxy.Mechanism, w way) {
			c := newCrawl(t, m)
			require.NoError(t, c.reach(t.Context(), w, "first", true))
			c.visit(t, w, 64, 500, some(tt.kinds))
			t.Logf("%d of %d healthy requests failed, the longest wait was %v", len(c.failed), c.healthy, c.longest)
			for _, err := range c.failed {
				require.False(t, requireCauseNamed(t, "heldback", err).Retry.IsZero())
			}
			require.LessOrEqual(t, c.longest, mostWait)
			require.Empty(t, c.provider.rejected)
			time.Sleep(maxPause)
			require.NoError(t, c.reach(t.Context(), w, "last", true))
		})
	}
}

// A directory that is slow at first delays the requests until it has answered once.
func TestSlowDirectoryDelaysTheFirstAcceptanceAlone(t *testing.T) {
	t.Parallel()
	const slow = 8 * time.Second
	sampleSchemes(t, 2, "", func(t testing.TB, m testproxy.Mechanism, w way) {
		c := newCrawl(t, m)
		start := time.Now()
		c.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
			if isCompleting(leg) && time.Since(start) < slow {
				time.Sleep(slow)
			}
			return c.treat(leg)
		})
		c.visit(t, w, 64, 500, func(i int) string { return fmt.Sprint("host", i) })
		c.requireHealthy(t, slow+time.Second)
		require.LessOrEqual(t, c.waited, 64)
	})
}

// A proxy that is restarted, and down for a minute, fails requests only while it is.
func TestRestartOfTheProxyFailsNothingLater(t *testing.T) {
	t.Parallel()
	sampleSchemes(t, 0, "", func(t testing.TB, m testproxy.Mechanism, w way) {
		c := newCrawl(t, m)
		var restarting atomic.Bool
		time.AfterFunc(29*time.Second, func() { restarting.Store(true) })
		time.AfterFunc(30*time.Second, func() {
			c.down.Store(true)
			if d, ok := m.(*testproxy.Digest); ok {
				d.ForgetNonces()
			}
			c.proxy.Disconnect()
		})
		time.AfterFunc(90*time.Second, func() {
			c.down.Store(false)
			restarting.Store(false)
		})
		c.work(t, w, 3*time.Minute, func() bool { return !restarting.Load() })
		c.requireHealthy(t, 2*time.Second)
	})
}

// A password that is rotated fails no request if the provider has the new one.
func TestRotatedPasswordFailsNothing(t *testing.T) {
	t.Parallel()
	const rotated = "r0tated"
	sampleSchemes(t, 1, "", func(t testing.TB, m testproxy.Mechanism, w way) {
		ntlm := new(changingNTLM)
		ntlm.change(map[string]string{user: password}, false)
		if m.Scheme() == "NTLM" {
			m = ntlm
		}
		c := newCrawl(t, m)
		c.provider.answer = untilDoubted(password, rotated)
		time.AfterFunc(30*time.Second, func() {
			c.users.SetPassword(user, rotated)
			ntlm.change(maps.Clone(c.users.Passwords), true)
		})
		c.work(t, w, 2*time.Minute, func() bool { return true })
		c.requireHealthy(t, 2*time.Second)
	})
}

// A request that has its turn, and waits for a connection that long downloads from exempt
// hosts occupy, is waited for no longer than one without an answer.
func TestTurnThatWaitsForAConnectionHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		holds(t, scheme, func(t testing.TB) {
			l, provider := newCaseLab(t, password, mechanismOf(scheme))
			provider.answer = func(*proxyauth.CredentialsRequest) (string, error) {
				time.Sleep(time.Second) // the others take the connection meanwhile
				return password, nil
			}
			l.base.MaxConnsPerHost = 1
			l.proxy.SetFault(testproxy.OnLeg(func(leg *testproxy.Leg) bool { return isFor(leg, freeHost) }, testproxy.Refuse(http.StatusOK, "short")))
			require.NoError(t, forwarded.reach(t.Context(), l.rt, freeHost))
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				if !isFor(leg, freeHost) {
					return nil
				}
				time.Sleep(time.Minute)
				return testproxy.Refuse(http.StatusOK, "long")
			})
			var all sync.WaitGroup
			all.Go(func() { require.NoError(t, forwarded.reach(t.Context(), l.rt, originHost)) })
			time.Sleep(time.Second / 2)
			for range 2 {
				all.Go(func() { require.NoError(t, forwarded.reach(t.Context(), l.rt, freeHost)) })
			}
			time.Sleep(time.Second)
			for i := range 3 {
				all.Go(func() {
					start := time.Now()
					require.NoError(t, tunnelled.reach(t.Context(), l.rt, otherHost(i)))
					require.Less(t, time.Since(start), mostWait)
				})
			}
			all.Wait()
		})
	}
}
