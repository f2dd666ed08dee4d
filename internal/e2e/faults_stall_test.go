package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

var points = map[string]testproxy.Point{
	"on request":       testproxy.OnRequest,
	"before answer":    testproxy.BeforeAnswer,
	"in status line":   testproxy.InStatusLine,
	"in header":        testproxy.InHeader,
	"after the header": testproxy.AfterHeader,
	"in the body":      testproxy.InBody,
	"after the answer": testproxy.AfterAnswer,
}

// requireQuiet requires everything that was opened to have been closed.
func (l *lab) requireQuiet() {
	l.t.Helper()
	l.hangUp()
	synctest.Wait()
	for _, conn := range l.proxy.Conns() {
		require.False(l.t, conn.Open, "connection %d was left open", conn.Number)
	}
}

// requireStalled requires err to say that the proxy did not answer in time.
func requireStalled(t testing.TB, cause proxyauth.Cause, err error) {
	t.Helper()
	var e *proxyauth.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, cause, e.Cause, e)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestStalls lets the proxy fall silent at every point of every leg that the
// Transport makes on its own.
func TestStalls(t *testing.T) {
	t.Parallel()
	const limit = 20 * time.Second
	connect := func(l *lab) error {
		conn, err := l.rt.DialContext(l.t.Context(), "tcp", echoAddr)
		scanned.Error(l.t.Name(), err)
		if err == nil {
			conn.Close()
		}
		return err
	}
	probe := func(l *lab) error {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Hour)
		defer cancel()
		_, _, err := l.do(l.request(http.MethodPost, httpOrigin, unreplayable("body")).WithContext(ctx))
		return err
	}
	for _, op := range []struct {
		desc string
		do   func(*lab) error
		on   string // the scheme on the leg
	}{
		{"CONNECT", connect, ""},
		{"CONNECT Basic", connect, "Basic"},
		{"probe", probe, ""},
	} {
		for name, pt := range points {
			t.Run(op.desc+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := basicLab(t, testproxy.Once(testproxy.OnScheme(op.on, testproxy.StallAt(pt))))
					l.rt.LegTimeout = limit
					start := time.Now()
					err := op.do(l)
					took := time.Since(start)
					switch {
					case pt < testproxy.AfterHeader:
						require.Contains(t, []time.Duration{limit, 2 * limit}, took, "a leg that gets no answer is repeated once at most")
						requireStalled(t, proxyauth.CauseProxyFailed, err)
					case op.on != "":
						// The tunnel is open: it is the target that doesn't answer.
						require.Zero(t, took)
						require.NoError(t, err)
					case pt != testproxy.AfterAnswer:
						// The header of the 407 is all that matters.
						require.LessOrEqual(t, took, drainPatience)
						require.NoError(t, err)
					case op.desc == "CONNECT":
						// The next leg is the one that stalls.
						require.Contains(t, []time.Duration{limit, 2 * limit}, took, "a leg that gets no answer is repeated once at most")
						requireStalled(t, proxyauth.CauseProxyFailed, err)
					default:
						// So it is the request itself, which only the caller limits.
						require.Equal(t, time.Hour, took)
						require.ErrorIs(t, err, context.DeadlineExceeded)
						time.Sleep(time.Minute) // its answer would have counted
					}
					l.requireQuiet()
				})
			})
		}
	}
}

// TestStalledAnswer lets the proxy fall silent in the body of a 407 to a forwarded
// request, which has a length or ends with the connection. The next leg takes another
// connection; where there is none, the caller sees that the body is not whole.
func TestStalledAnswer(t *testing.T) {
	t.Parallel()
	for _, framing := range []testproxy.Framing{testproxy.FramingAuto, testproxy.FramingClose} {
		for _, pt := range []testproxy.Point{testproxy.AfterHeader, testproxy.InBody} {
			stall := *testproxy.StallAt(pt)
			stall.Framing = framing
			bubble(t, fmt.Sprintf("framing %d, point %d, answered", framing, pt), func(t *testing.T) {
				l := basicLab(t, testproxy.On(407, &stall))
				start := time.Now()
				l.get(httpOrigin + "/")
				require.Equal(t, drainPatience, time.Since(start))
				l.legs("GET / -> 407", "+ GET / Basic -> 200")
				l.requireQuiet()
			})
			bubble(t, fmt.Sprintf("framing %d, point %d, returned", framing, pt), func(t *testing.T) {
				l := basicLab(t, testproxy.On(407, &stall))
				l.rt.Credentials = nil
				start := time.Now()
				resp, err := l.rt.RoundTrip(l.request(http.MethodGet, httpOrigin+"/", nil))
				require.NoError(t, err)
				require.Equal(t, drainPatience, time.Since(start))
				require.Equal(t, 407, resp.StatusCode)
				_, err = io.ReadAll(resp.Body)
				require.Equal(t, io.ErrUnexpectedEOF, err)
				require.NoError(t, resp.Body.Close())
				l.legs("GET / -> 407")
				l.requireQuiet()
			})
		}
	}
}

// TestStalledDial waits for a proxy that can't be reached, or says nothing in TLS,
// no longer than the leg's limit.
func TestStalledDial(t *testing.T) {
	t.Parallel()
	stall := func(int) testproxy.ConnAction { return testproxy.StallConn }
	for _, tt := range []struct {
		desc   string
		config testproxy.Config
		hole   bool
		limit  time.Duration // of the leg
		want   time.Duration
	}{
		{"TCP", testproxy.Config{}, true, 0, time.Minute},
		{"TLS", testproxy.Config{TLS: ca.ServerConfig("proxy.example.com"), ConnFault: stall}, false, 7 * time.Second, 7 * time.Second},
		{"no limit", testproxy.Config{}, true, -1, time.Hour},
	} {
		for _, target := range []string{httpOrigin, httpsOrigin} {
			t.Run(tt.desc+" "+target, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, tt.config)
					l.rt.LegTimeout = tt.limit
					if tt.hole {
						l.network.Blackhole(l.proxy.Addr())
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					start := time.Now()
					_, _, err := l.do(l.request(http.MethodGet, target, nil).WithContext(ctx))
					require.Equal(t, tt.want, time.Since(start))
					if tt.limit >= 0 {
						requireStalled(t, proxyauth.CauseProxyUnreachable, err)
					} else {
						require.ErrorIs(t, err, context.DeadlineExceeded)
					}
					l.requireQuiet()
				})
			})
		}
	}
}

// TestCancel ends every kind of wait as soon as the request is cancelled.
func TestCancel(t *testing.T) {
	t.Parallel()
	stall := func(scheme string, pt testproxy.Point) func(*lab) {
		return func(l *lab) { l.proxy.SetFault(testproxy.OnScheme(scheme, testproxy.StallAt(pt))) }
	}
	// ask makes the provider wait for the end of the request.
	ask := func(l *lab) {
		l.rt.Credentials = proxyauth.CredentialsFunc(
			func(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
				<-ctx.Done()
				return proxyauth.Credentials{}, ctx.Err()
			})
	}
	for _, wait := range []struct {
		desc    string
		prepare func(*lab)
	}{
		{"dial", func(l *lab) { l.network.Blackhole(l.proxy.Addr()) }},
		{"challenge", stall("", testproxy.BeforeAnswer)},
		{"body of the challenge", stall("", testproxy.InBody)},
		{"answer", stall("Basic", testproxy.InHeader)},
		{"provider", ask},
		{"another request", func(l *lab) {
			ask(l)
			ctx, cancel := context.WithCancel(l.t.Context())
			l.t.Cleanup(cancel)
			go l.rt.DialContext(ctx, "tcp", echoAddr)
			synctest.Wait()
		}},
	} {
		for _, op := range []struct {
			desc string
			do   func(context.Context, *lab) error
		}{
			{"GET", func(ctx context.Context, l *lab) error {
				_, _, err := l.do(l.request(http.MethodGet, httpOrigin, nil).WithContext(ctx))
				return err
			}},
			{"POST", func(ctx context.Context, l *lab) error {
				_, _, err := l.do(l.request(http.MethodPost, httpOrigin, unreplayable("body")).WithContext(ctx))
				return err
			}},
			{"GET, ended by Request.Cancel,", func(ctx context.Context, l *lab) error {
				req := l.request(http.MethodGet, httpOrigin, nil)
				req.Cancel = ctx.Done() //lint:ignore SA1019 it is deprecated, and in use
				_, _, err := l.do(req)
				if err != nil && err.Error() == "proxyauth: request canceled" {
					return ctx.Err()
				}
				return err
			}},
			{"GET in a tunnel", func(ctx context.Context, l *lab) error {
				_, _, err := l.do(l.request(http.MethodGet, httpsOrigin, nil).WithContext(ctx))
				return err
			}},
			{"DialContext", func(ctx context.Context, l *lab) error {
				_, err := l.rt.DialContext(ctx, "tcp", echoAddr)
				scanned.Error(l.t.Name(), err)
				return err
			}},
		} {
			t.Run(op.desc+" waits for "+wait.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := basicLab(t, nil)
					wait.prepare(l)
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Second, cancel)
					start := time.Now()
					err := op.do(ctx, l)
					require.ErrorIs(t, err, context.Canceled)
					require.Equal(t, time.Second, time.Since(start))

					ctx, cancel = context.WithCancel(t.Context())
					cancel()
					require.ErrorIs(t, op.do(ctx, l), context.Canceled)
					require.Equal(t, time.Second, time.Since(start))
					l.rt.CloseIdleConnections() // with net/http's dials under way
				})
			})
		}
	}
}

// A request that waits for a connection ends with its Cancel, also that of http.Client's
// Timeout, and says nothing of a password that the proxy has accepted.
func TestCancelBeforeAnAnswer(t *testing.T) {
	t.Parallel()
	for _, m := range allMechanisms() {
		bubble(t, m.Scheme(), func(t *testing.T) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m}})
			l.base.MaxConnsPerHost = 1
			l.get(httpOrigin + "/")
			l.proxy.SetFault(testproxy.Always(testproxy.StallAt(testproxy.BeforeAnswer)))
			for range 5 {
				cancel := make(chan struct{})
				time.AfterFunc(time.Second, func() { close(cancel) })
				start := time.Now()
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						req := l.request(http.MethodGet, httpOrigin+"/", nil)
						req.Cancel = cancel //lint:ignore SA1019 it is deprecated, and in use
						_, _, err := l.do(req)
						require.EqualError(t, err, "proxyauth: request canceled")
					})
					wg.Go(func() {
						client := &http.Client{Transport: l.rt, Timeout: time.Second}
						_, err := client.Do(l.request(http.MethodGet, httpOrigin+"/", nil))
						require.ErrorIs(t, err, context.DeadlineExceeded)
					})
				}
				wg.Wait()
				require.Equal(t, time.Second, time.Since(start))
			}
			require.Zero(t, l.rt.Stats()[0].Doubted)
			require.Empty(t, l.rt.Stats()[0].Failures)
		})
	}
}

// TestExcess is what a proxy may send: much, but not without limit.
func TestExcess(t *testing.T) {
	t.Parallel()
	const challenge = `Basic realm="lab"`
	for row, tt := range []struct {
		desc   string
		action *testproxy.Action
		cause  proxyauth.Cause // zero if the request gets through
	}{
		{"endless header", testproxy.EndlessHeader(), proxyauth.CauseProxyFailed},
		{"endless interim answers", testproxy.Interim(-1, "103 Early Hints"), proxyauth.CauseProxyFailed},
		{"endless body", testproxy.EndlessBody(), ""},
		{"1 GiB of body", testproxy.LargeBody(1 << 30), ""},
		{"10,000 challenges", testproxy.ManyChallenges(10_000, challenge), ""},
		{"challenges beyond the header's limit", testproxy.ManyChallenges(300_000, challenge), proxyauth.CauseProxyFailed},
		{"a long challenge", testproxy.Offer("Basic realm=\"" + strings.Repeat("x", 1<<20) + "\""), proxyauth.CauseMalformedChallenge},
		{"a challenge for ever", testproxy.Offer(`Digest realm="lab", nonce="n", qop="auth", stale=true`), proxyauth.CauseHandshakeBroken},
	} {
		for _, op := range sample.Of(row, []string{http.MethodGet, http.MethodPost, http.MethodConnect}) {
			t.Run(tt.desc+" to "+op, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := basicLab(t, nil)
					if op != http.MethodConnect {
						l.base.MaxResponseHeaderBytes = 4 << 20 // or else 10 MiB
					}
					var received atomic.Int64
					l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						conn, err := l.network.DialContext(ctx, network, addr)
						return &meteredConn{conn, &received}, err
					}
					if strings.HasPrefix(tt.desc, "a challenge for ever") {
						l.proxy.SetFault(testproxy.Always(&testproxy.Action{Status: 407, Challenges: tt.action.Challenges}))
					} else {
						l.proxy.SetFault(testproxy.On(407, tt.action))
					}
					req := l.request(http.MethodGet, httpOrigin, nil)
					switch op {
					case http.MethodPost:
						req = l.request(http.MethodPost, httpOrigin, unreplayable("body"))
					case http.MethodConnect:
						req = l.request(http.MethodGet, httpsOrigin, nil)
					}
					resp, _, err := l.do(req)
					e := explained(resp)
					switch {
					case tt.cause == "":
						require.NoError(t, err)
						require.Equal(t, http.StatusOK, resp.StatusCode)
					case e == nil && op == http.MethodGet && tt.cause == proxyauth.CauseProxyFailed:
						require.Error(t, err)
					case e == nil:
						require.ErrorAs(t, err, &e)
						require.Equal(t, tt.cause, e.Cause, e)
					case op == http.MethodPost && tt.cause == proxyauth.CauseHandshakeBroken:
						require.Equal(t, proxyauth.CauseBodyNotReplayable, e.Cause, e)
					default:
						require.Equal(t, tt.cause, e.Cause, e)
					}
					require.LessOrEqual(t, len(l.proxy.Legs()), 9)
					require.Less(t, received.Load(), int64(11<<20), "bytes read")
				})
			})
		}
	}
}

// A meteredConn counts what is read from it.
type meteredConn struct {
	net.Conn
	received *atomic.Int64
}

func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

// TestProxyGoesAway restarts the proxy between two requests, and lets it close the
// connection that it said it would keep.
func TestProxyGoesAway(t *testing.T) {
	t.Parallel()
	for _, m := range mechanisms {
		for _, target := range []string{httpOrigin, httpsOrigin} {
			t.Run(m.scheme+" "+target, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m.make()}})
					l.get(target + "/")
					l.proxy.Disconnect()
					synctest.Wait()
					l.proxy.Reset()
					l.get(target + "/")
					require.Len(t, l.proxy.Legs(), 1)
					require.EqualValues(t, 1, l.asked.Load())
				})
			})
		}
	}
}

// TestNothingLeft leaves nothing behind after tunnels that failed in every way.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	for name, pt := range points {
		for _, scheme := range []string{"", "Basic"} {
			for _, reset := range []bool{false, true} {
				t.Run(fmt.Sprintf("%q, %s, reset %v", scheme, name, reset), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var open int
						l := basicLab(t, testproxy.OnScheme(scheme, &testproxy.Action{Drop: pt, Reset: reset}))
						l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
							conn, err := l.network.DialContext(ctx, network, addr)
							if err == nil {
								open++
								conn = &closeOnce{Conn: conn, closed: func() { open-- }}
							}
							return conn, err
						}
						conn, err := l.rt.DialContext(t.Context(), "tcp", echoAddr)
						scanned.Error(t.Name(), err)
						if err == nil {
							conn.Close()
						}
						require.Zero(t, open, "connections left open")
						require.LessOrEqual(t, len(l.proxy.Legs()), 6)
					})
				})
			}
		}
	}
}

// A closeOnce is a connection that tells when it is closed for the first time.
type closeOnce struct {
	net.Conn
	closed func()
}

func (c *closeOnce) Close() error {
	if c.closed != nil {
		c.closed()
		c.closed = nil
	}
	return c.Conn.Close()
}

// TestDialerThatNoticesTheDeadlineItself has a dial function with a timer of its own, as a
// net.Dialer has one: the end of the context is no failure of the proxy.
func TestDialerThatNoticesTheDeadlineItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{})
		l.base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			end, _ := ctx.Deadline()
			for ctx.Err() == nil && time.Now().Before(end) {
				time.Sleep(time.Until(end)) // the context's own timer may be the later one
			}
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
		}
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := l.rt.DialContext(ctx, "tcp", "origin.example.com:443")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			_, ok := errors.AsType[*proxyauth.Error](err)
			require.False(t, ok, "%v", err)
			cancel()
		}
		for _, stats := range l.rt.Stats() {
			require.Empty(t, stats.Failures)
		}
	})
}
