package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const atOnce = 200 * time.Millisecond

// unended answers without a length, and leaves the connection open.
func unended(status int, saysClose bool) *testproxy.Action {
	a := &testproxy.Action{Status: status, Empty: true, Header: http.Header{"Content-Length": nil}}
	if saysClose {
		a.Header["Connection"] = []string{"close"}
	}
	return a
}

// The end of a refusal of a CONNECT is not waited for where there may be none.
func TestRefusalWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, saysClose := range []bool{false, true} {
		for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
			holds(t, fmt.Sprintf("%s, says close %v", scheme, saysClose), func(t testing.TB) {
				l, _ := newCaseLab(t, password, mechanismOf(scheme))
				l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
					if leg.Status != http.StatusProxyAuthRequired {
						return nil
					}
					return unended(0, saysClose && leg.Scheme == "") // a handshake needs its connection
				})
				start := time.Now()
				require.NoError(t, tunnel(t.Context(), l.rt, originHost))
				require.LessOrEqual(t, time.Since(start), atOnce)
				require.LessOrEqual(t, len(l.proxy.Legs()), 3)
			})
		}
		for _, status := range []int{http.StatusBadRequest, http.StatusForbidden} {
			holds(t, fmt.Sprintf("%d, says close %v", status, saysClose), func(t testing.TB) {
				l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
				l.proxy.SetFault(testproxy.Always(unended(status, saysClose)))
				start := time.Now()
				err := tunnel(t.Context(), l.rt, originHost)
				require.Equal(t, status, requireCauseNamed(t, "", err).Status)
				require.LessOrEqual(t, time.Since(start), atOnce)
			})
		}
	}
}

// A tunnel is open with the header of a 2xx, whatever that says of a body.
func TestTunnelIsOpenWhateverItsLength(t *testing.T) {
	t.Parallel()
	for _, header := range []http.Header{
		{"Content-Length": {"many"}},
		{"Content-Length": {"-1"}},
		{"Content-Length": {"5", "6"}},
		{"Content-Length": {"5"}},
		{"Transfer-Encoding": {"chunked"}},
		{"Transfer-Encoding": {"gzip, rot13"}},
		{"Transfer-Encoding": {"chunked"}, "Content-Length": {"7"}},
	} {
		holds(t, fmt.Sprint(header), func(t testing.TB) {
			l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
			l.proxy.SetFault(testproxy.On(http.StatusOK, &testproxy.Action{Header: header}))
			l.get(httpsOrigin + "/")
			require.Len(t, l.proxy.Legs(), 2)
		})
	}
}

// A proxy that takes one CONNECT a connection answers the second one 400. The tunnel is
// opened on a new connection, and the proxy's way is remembered.
func TestProxyThatTakesOneConnectAConnection(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest"} {
		holds(t, scheme, func(t testing.TB) {
			m := mechanismOf(scheme)
			l, _ := newCaseLab(t, password, m)
			l.proxy.SetFault(testproxy.OnLeg(func(leg *testproxy.Leg) bool {
				return leg.Method == http.MethodConnect && leg.Number > 1
			}, &testproxy.Action{Status: http.StatusBadRequest, SayClose: true}))
			require.NoError(t, tunnel(t.Context(), l.rt, originHost))
			l.proxy.Reset()
			for range 3 {
				if d, ok := m.(*testproxy.Digest); ok {
					d.ForgetNonces() // so that there is a 407 once more
				}
				require.NoError(t, tunnel(t.Context(), l.rt, originHost))
			}
			for _, leg := range l.proxy.Legs() {
				require.NotEqual(t, http.StatusBadRequest, leg.Status, "it is known")
			}
		})
	}
}

// Some proxies expect Basic unasked, and say nothing of it.
func TestProxyThatNeverChallenges(t *testing.T) {
	t.Parallel()
	for desc, action := range map[string]*testproxy.Action{
		"401":    {Status: http.StatusUnauthorized, Challenges: []string{}},
		"403":    {Status: http.StatusForbidden, Challenges: []string{}},
		"407":    {Status: http.StatusProxyAuthRequired, Challenges: []string{}},
		"closes": testproxy.DropAt(testproxy.OnRequest),
	} {
		fault := testproxy.OnLeg(func(leg *testproxy.Leg) bool { return leg.Scheme != "Basic" }, action)
		holds(t, desc+", Preemptive", func(t testing.TB) {
			l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
			l.rt.Preemptive = true
			l.proxy.SetFault(fault)
			require.NoError(t, tunnel(t.Context(), l.rt, originHost))
			require.NoError(t, tunnel(t.Context(), l.rt, otherHost(0)))
		})
		if desc == "closes" {
			continue
		}
		holds(t, desc+", hint", func(t testing.TB) {
			l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
			l.proxy.SetFault(fault)
			e := requireCauseNamed(t, "", tunnel(t.Context(), l.rt, originHost))
			require.Contains(t, e.Hint(), "Preemptive")
		})
	}
}

// A hundred challenges of unknown schemes don't hide the one that is known.
func TestKnownChallengeAmongMany(t *testing.T) {
	t.Parallel()
	var unknown []string
	for i := range 100 {
		unknown = append(unknown, fmt.Sprintf(`Unknown%d realm="lab", a=b`, i))
	}
	lines := append(slices.Clone(unknown), `Basic realm="lab"`)
	for desc, offer := range map[string][]string{"in many lines": lines, "in one line": {strings.Join(lines, ", ")}} {
		eachHolds(t, desc, func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
			l.proxy.SetFault(testproxy.On(http.StatusProxyAuthRequired, testproxy.Offer(offer...)))
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		})
	}
}

// One nonce for everybody is counted on by everybody.
func TestNonceOfAllConnections(t *testing.T) {
	t.Parallel()
	eachHolds(t, "", func(t testing.TB, w way) {
		d := &testproxy.Digest{Realm: "lab", SharedNonce: true, NonceCount: testproxy.NonceCountOnce}
		l, provider := newCaseLab(t, password, d)
		for range 3 {
			for _, err := range together(16, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
				require.NoError(t, err)
			}
		}
		require.Empty(t, provider.rejected)
		require.LessOrEqual(t, l.tally()[w.method+" Digest 407"], 1)
	})
}

// A connection without deadlines has none of its own: the context ends what waits on it.
func TestConnectionWithoutDeadlines(t *testing.T) {
	t.Parallel()
	holds(t, "CONNECT", func(t testing.TB) {
		l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
		l.proxy.SetFault(testproxy.Always(testproxy.StallAt(testproxy.OnRequest)))
		l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := l.network.DialContext(ctx, network, addr)
			return timelessConn{conn}, err
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error, 1)
		start := time.Now()
		go func() { ended <- tunnel(ctx, l.rt, originHost) }()
		select {
		case err := <-ended:
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.LessOrEqual(t, time.Since(start), time.Second)
		case <-time.After(time.Minute):
			t.Error("it waits for ever")
		}
		time.Sleep(time.Minute)
		require.Zero(t, openConns(l.proxy), "connections")
	})
}

type timelessConn struct{ net.Conn }

func (timelessConn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (timelessConn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (timelessConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// A connection that closes after the 407, as Proxy-Connection says, is not used again
// for a body.
func TestProxyConnectionCloseIsTakenAtItsWord(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		holds(t, scheme, func(t testing.TB) {
			l, _ := newCaseLab(t, password, mechanismOf(scheme))
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				switch {
				case leg.Number > 1 && leg.Scheme != "NTLM":
					return testproxy.DropAt(testproxy.OnRequest) // it reads on, and has given up
				case leg.Status == http.StatusProxyAuthRequired && leg.Scheme == "":
					return &testproxy.Action{Header: http.Header{"Proxy-Connection": {"close"}}}
				}
				return nil
			})
			u := newUpload(shortBody)
			resp, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), true))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Len(t, l.origin.Requests(), 1)
		})
	}
}
