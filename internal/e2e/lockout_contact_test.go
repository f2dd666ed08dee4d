package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A way is a path to an origin server, which is named by its host.
type way struct {
	desc   string
	method string // at the proxy
	reach  func(ctx context.Context, rt *proxyauth.Transport, host string) error
}

var (
	forwarded = way{"forwarded", http.MethodGet, fetch}
	tunnelled = way{"tunnelled", http.MethodConnect, tunnel}
	ways      = []way{forwarded, tunnelled}
)

const originHost = "origin.example.com"

// fetch makes a GET over http. Anything but a 200 is an error, the one of
// ResponseError if there is one.
func fetch(ctx context.Context, rt *proxyauth.Transport, host string) (err error) {
	defer func() { scanned.Error("fetch "+host, err) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		return err
	}
	if id, ok := ctx.Value(idKey{}).(string); ok {
		req.Header.Set(idField, id)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if e, ok := proxyauth.ResponseError(resp); ok {
		return e
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// tunnel opens a tunnel to port 443 and closes it.
func tunnel(ctx context.Context, rt *proxyauth.Transport, host string) error {
	conn, err := rt.DialContext(ctx, "tcp", net.JoinHostPort(host, "443"))
	scanned.Error("tunnel "+host, err)
	if err != nil {
		return err
	}
	return conn.Close()
}

// together calls f n times at once and returns what became of each call.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { errs[i] = f(i) })
	}
	callers.Wait()
	return errs
}

// tally counts the legs since the last call: "GET Basic 200", "CONNECT 407". A
// leg without an answer has what became of it in place of the status.
func (l *lab) tally() map[string]int {
	l.t.Helper()
	count := make(map[string]int)
	for _, line := range l.proxy.Transcript() {
		fields := strings.Fields(line)
		method, answer := fields[1], fields[len(fields)-1]
		if scheme := strings.Join(fields[3:len(fields)-2], " "); scheme != "" {
			method += " " + scheme
		}
		count[method+" "+answer]++
	}
	require.Empty(l.t, l.proxy.Violations())
	l.proxy.Reset()
	return count
}

// newGatedLab returns a lab whose proxy reaches no origin until the gate is
// closed.
func newGatedLab(t *testing.T, auth ...testproxy.Mechanism) (l *lab, gate chan struct{}) {
	gate = make(chan struct{})
	l = newLab(t, testproxy.Config{Auth: auth, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		select {
		case <-gate:
			return l.network.DialContext(ctx, network, addr)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}})
	return l, gate
}

// While one request finds out what the proxy wants and proves the credentials,
// the others send nothing.
func TestFirstContactIsSingleFlight(t *testing.T) {
	t.Parallel()
	n := manyCallers()
	for _, way := range ways {
		for _, tt := range []struct {
			desc      string
			mechanism testproxy.Mechanism
			proof     map[string]int // legs before the proxy's verdict
			rest      map[string]int // of the legs; nil where it depends on the order of events
		}{
			{
				desc:  "open proxy",
				proof: map[string]int{way.method + " pending": 1},
				rest:  map[string]int{way.method + " 200": n - 1},
			},
			{
				desc:      "Basic",
				mechanism: &testproxy.Basic{Realm: "lab"},
				proof:     map[string]int{way.method + " 407": 1, way.method + " Basic pending": 1},
				rest:      map[string]int{way.method + " Basic 200": n - 1},
			},
			{
				desc:      "Digest", // of which each of so many at once needs a nonce
				mechanism: &testproxy.Digest{Realm: "lab"},
				proof:     map[string]int{way.method + " 407": 1, way.method + " Digest pending": 1},
			},
			{
				desc:      "NTLM",
				mechanism: &testproxy.NTLM{},
				proof:     map[string]int{way.method + " 407": 1, way.method + " NTLM 407": 1, way.method + " NTLM pending": 1},
			},
		} {
			t.Run(tt.desc+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var auth []testproxy.Mechanism
					if tt.mechanism != nil {
						auth = append(auth, tt.mechanism)
					}
					l, gate := newGatedLab(t, auth...)
					done := make(chan []error)
					go func() {
						done <- together(n, func(int) error { return way.reach(t.Context(), l.rt, originHost) })
					}()
					synctest.Wait()
					require.Equal(t, tt.proof, l.tally())
					close(gate)
					require.NoError(t, errors.Join(<-done...))
					legs := l.tally()
					if tt.rest != nil {
						require.Equal(t, tt.rest, legs)
					}
					require.LessOrEqual(t, legs[way.method+" 407"], n, "challenges to others than the first")
					if tt.mechanism != nil {
						require.EqualValues(t, 1, l.asked.Load())
					}
				})
			})
		}
	}
}

// Who waits for the first request waits no longer than its own context allows.
func TestWaitingEndsWithOwnContext(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, gate := newGatedLab(t, &testproxy.Basic{Realm: "lab"})
				first := make(chan error)
				go func() { first <- way.reach(t.Context(), l.rt, originHost) }()
				synctest.Wait()

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				require.ErrorIs(t, way.reach(ctx, l.rt, originHost), context.DeadlineExceeded)
				require.Equal(t, time.Second, time.Since(start))

				cause := errors.New("the user has gone")
				ctx2, cancel2 := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel2(cause) })
				require.ErrorIs(t, way.reach(ctx2, l.rt, originHost), cause)

				close(gate)
				require.NoError(t, <-first)
				require.Equal(t, map[string]int{way.method + " 407": 1, way.method + " Basic 200": 1}, l.tally())
			})
		})
	}
}

// An origin that takes its time keeps the requests to others waiting for no
// longer than patience.
func TestSlowOriginDoesNotHoldOthers(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		for _, mechanism := range []testproxy.Mechanism{nil, &testproxy.Basic{Realm: "lab"}, &testproxy.Digest{Realm: "lab"}, &testproxy.NTLM{}} {
			desc := "open proxy"
			if mechanism != nil {
				desc = mechanism.Scheme()
			}
			t.Run(desc+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					config := testproxy.Config{}
					if mechanism != nil {
						config.Auth = []testproxy.Mechanism{mechanism}
					}
					l := newLab(t, config)
					l.network.Blackhole("slow.example.com:80")
					l.network.Blackhole("slow.example.com:443")
					ctx, cancel := context.WithCancel(t.Context())
					slow := make(chan error)
					go func() { slow <- way.reach(ctx, l.rt, "slow.example.com") }()
					synctest.Wait()

					start := time.Now()
					require.NoError(t, errors.Join(together(10, func(int) error { return way.reach(t.Context(), l.rt, originHost) })...))
					require.LessOrEqual(t, time.Since(start), patience)
					start = time.Now()
					require.NoError(t, way.reach(t.Context(), l.rt, originHost))
					require.Zero(t, time.Since(start), "the proxy is known by now")
					cancel()
					require.ErrorIs(t, <-slow, context.Canceled)
				})
			})
		}
	}
}

// If the first request comes to nothing, the next one leads.
func TestNextLeadsWhereTheFirstFails(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		for _, mechanism := range []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}, &testproxy.Digest{Realm: "lab"}, &testproxy.NTLM{}} {
			t.Run(fmt.Sprintf("cancelled, %s %s", mechanism.Scheme(), way.desc), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, gate := newGatedLab(t, mechanism)
					ctx, cancel := context.WithCancel(t.Context())
					first := make(chan error)
					go func() { first <- way.reach(ctx, l.rt, originHost) }()
					synctest.Wait()
					others := make(chan []error)
					go func() {
						others <- together(20, func(int) error { return way.reach(t.Context(), l.rt, originHost) })
					}()
					synctest.Wait()
					start := time.Now()
					cancel()
					require.ErrorIs(t, <-first, context.Canceled)
					close(gate)
					require.NoError(t, errors.Join(<-others...))
					require.Zero(t, time.Since(start))
					require.EqualValues(t, 1, l.asked.Load())
				})
			})
			t.Run(fmt.Sprintf("broken, %s %s", mechanism.Scheme(), way.desc), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{
						Auth: []testproxy.Mechanism{mechanism},
						ConnFault: func(conn int) testproxy.ConnAction {
							if conn == 1 {
								return testproxy.DropConn
							}
							return testproxy.ServeConn
						},
					})
					errs := together(20, func(int) error { return way.reach(t.Context(), l.rt, originHost) })
					failed := 0
					for _, err := range errs {
						if err != nil {
							failed++
						}
					}
					require.LessOrEqual(t, failed, 1, "all but the first")
				})
			})
		}
	}
}

// A proxy that does not answer fails all requests at about the same time, not one
// after the other.
func TestUnreachableProxyFailsAllTogether(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{})
				l.network.Blackhole("proxy.example.com:3128")
				l.rt.LegTimeout = time.Minute
				start := time.Now()
				for _, err := range together(50, func(int) error { return way.reach(t.Context(), l.rt, originHost) }) {
					e, ok := errors.AsType[*proxyauth.Error](err)
					require.True(t, ok, "%v", err)
					require.Equal(t, proxyauth.CauseProxyUnreachable, e.Cause)
				}
				require.LessOrEqual(t, time.Since(start), time.Minute+patience)
			})
		})
	}
}
