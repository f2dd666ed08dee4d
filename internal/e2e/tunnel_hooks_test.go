//lint:file-ignore SA1019 Base may have its old dial functions set, which net/http still calls.

package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// tlsLab returns a lab with an https:// proxy that wants Basic.
func tlsLab(t testing.TB) *lab {
	return newLab(t, testproxy.Config{
		TLS:  ca.ServerConfig("proxy.example.com"),
		Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
	})
}

// TestDialHooks connects to the proxy with whichever function Base has for it.
func TestDialHooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc  string
		tls   bool
		set   func(l *lab, dialled func())
		calls int64 // for one http:// and one https:// request
	}{
		{"DialContext", false, func(l *lab, dialled func()) {
			l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled()
				return l.network.DialContext(ctx, network, addr)
			}
		}, 2},
		{"Dial", false, func(l *lab, dialled func()) {
			l.base.DialContext = nil
			l.base.Dial = func(network, addr string) (net.Conn, error) {
				dialled()
				return l.network.Dial(network, addr)
			}
		}, 2},
		{"DialContext before Dial", true, func(l *lab, dialled func()) {
			l.base.Dial = func(string, string) (net.Conn, error) { panic("not to be used") }
			l.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled()
				return l.network.DialContext(ctx, network, addr)
			}
		}, 2},
		{"DialTLSContext", true, func(l *lab, dialled func()) {
			l.base.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled()
				conn, err := l.network.DialContext(ctx, network, addr)
				return tls.Client(conn, &tls.Config{RootCAs: ca.Pool(), ServerName: "proxy.example.com"}), err
			}
			l.base.DialContext = nil
		}, 2},
		{"DialTLS", true, func(l *lab, dialled func()) {
			l.base.DialTLS = func(network, addr string) (net.Conn, error) {
				dialled()
				conn, err := l.network.Dial(network, addr)
				return tls.Client(conn, &tls.Config{RootCAs: ca.Pool(), ServerName: "proxy.example.com"}), err
			}
			l.base.DialContext = nil
		}, 2},
		{"DialTLSContext is not for http:// proxies", false, func(l *lab, dialled func()) {
			l.base.DialTLSContext = func(context.Context, string, string) (net.Conn, error) {
				dialled()
				return nil, errors.New("not to be used")
			}
		}, 0},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, nil)
				if tt.tls {
					l.network = testproxy.NewNetwork()
					l = tlsLab(t)
				}
				var calls atomic.Int64
				tt.set(l, func() { calls.Add(1) })
				l.get(httpOrigin + "/")
				l.get(httpsOrigin + "/")
				l.legs("GET / -> 407", "= GET / Basic -> 200", "CONNECT Basic -> 200")
				require.Equal(t, tt.calls, calls.Load())
			})
		})
	}
}

// TestDialHookFails reports the error of a dial function, and a function that
// returns nothing at all.
func TestDialHookFails(t *testing.T) {
	t.Parallel()
	errDial := errors.New("no route")
	for _, want := range []error{errDial, nil} {
		for _, target := range []string{httpOrigin, httpsOrigin} {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, nil)
				l.base.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, want }
				_, _, err := l.do(l.request(http.MethodGet, target, nil))
				var e *proxyauth.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, proxyauth.CauseProxyUnreachable, e.Cause)
				if want != nil {
					require.ErrorIs(t, err, want)
				} else {
					require.ErrorContains(t, err, "(nil, nil)")
				}
			})
		}
	}
}

// TestConnectHeader puts Base's header into each CONNECT, and nowhere else.
func TestConnectHeader(t *testing.T) {
	t.Parallel()
	header := http.Header{"X-Tenant": {"blue"}}
	for _, tt := range []struct {
		desc string
		set  func(*http.Transport, http.Header, error)
	}{
		{"ProxyConnectHeader", func(base *http.Transport, h http.Header, _ error) { base.ProxyConnectHeader = h }},
		{"GetProxyConnectHeader", func(base *http.Transport, h http.Header, err error) {
			base.ProxyConnectHeader = http.Header{"X-Not": {"used"}}
			base.GetProxyConnectHeader = func(_ context.Context, proxy *url.URL, target string) (http.Header, error) {
				if proxy.String() != "http://proxy.example.com:3128" || target != "origin.example.com:443" {
					return nil, fmt.Errorf("called for %v and %s", proxy, target)
				}
				return h, err
			}
		}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{
					Auth:          []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
					ConnectHeader: []string{"X-Tenant"},
				})
				tt.set(l.base, header, nil)
				l.get(httpsOrigin + "/")
				l.get(httpOrigin + "/")
				for _, leg := range l.proxy.Legs() {
					require.Equal(t, leg.Method == http.MethodConnect, leg.Header.Get("X-Tenant") == "blue", leg.String())
				}
				require.Equal(t, http.Header{"X-Tenant": {"blue"}}, header, "the header was changed")
				l.legs("CONNECT -> 407", "= CONNECT Basic -> 200", "GET / Basic -> 200")
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l := basicLab(t, nil)
		errHeader := errors.New("no token")
		l.base.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { return nil, errHeader }
		_, _, err := l.do(l.request(http.MethodGet, httpsOrigin, nil))
		require.ErrorIs(t, err, errHeader)
		require.Empty(t, l.proxy.Legs())
		l.requireQuiet()
	})
}

// TestConnectResponse shows Base's hook the answer that ends an exchange, once.
func TestConnectResponse(t *testing.T) {
	t.Parallel()
	errHook := errors.New("not to my liking")
	for _, tt := range []struct {
		desc   string
		fault  testproxy.Fault
		fails  error
		status int // 0 if there is no answer
	}{
		{desc: "200", status: 200},
		{desc: "200, disliked", fails: errHook, status: 200},
		{desc: "403", fault: testproxy.On(200, testproxy.Refuse(403, "")), status: 403},
		{desc: "403, disliked", fault: testproxy.On(200, testproxy.Refuse(403, "")), fails: errHook, status: 403},
		{desc: "407 given up", fault: testproxy.On(407, testproxy.Offer("Bearer")), status: 407},
		{desc: "no answer", fault: testproxy.Always(testproxy.DropAt(testproxy.BeforeAnswer))},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, tt.fault)
				var got []int
				l.base.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
					require.Equal(t, "http://proxy.example.com:3128", proxy.String())
					require.Equal(t, "origin.example.com:443", req.Host)
					got = append(got, resp.StatusCode)
					return tt.fails
				}
				_, _, err := l.do(l.request(http.MethodGet, httpsOrigin, nil))
				if tt.status == 0 {
					require.Empty(t, got)
				} else {
					require.Equal(t, []int{tt.status}, got)
				}
				if tt.fails != nil {
					require.ErrorIs(t, err, tt.fails)
				}
				if tt.status != 200 {
					var e *proxyauth.Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, tt.status, e.Status)
				} else if tt.fails == nil {
					require.NoError(t, err)
				}
				l.requireQuiet()
			})
		})
	}
}

// TestMaxConnsPerHost holds the bound while a proxy begins to ask many requests at
// once: none of them may sit on a connection that another waits for.
func TestMaxConnsPerHost(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2} {
		for _, m := range mechanisms {
			t.Run(fmt.Sprintf("%s, %d", m.scheme, limit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{})
					l.base.MaxConnsPerHost = limit
					l.get(httpOrigin + "/")
					mechanism := m.make()
					l.adopt(mechanism)
					l.proxy.SetAuth(mechanism)
					start := time.Now()
					var wg sync.WaitGroup
					for range 20 {
						wg.Go(func() { getter(t, l.rt, httpOrigin) })
					}
					wg.Wait()
					require.Zero(t, time.Since(start), "somebody has waited for a timeout")
					require.EqualValues(t, 1, l.asked.Load())
					l.requireQuiet()
					require.LessOrEqual(t, len(l.proxy.Conns()), limit)
				})
			})
		}
	}
}

// TestIdleConnTimeout closes idle connections when Base would.
func TestIdleConnTimeout(t *testing.T) {
	t.Parallel()
	for _, target := range []string{httpOrigin, httpsOrigin} {
		synctest.Test(t, func(t *testing.T) {
			l := basicLab(t, nil)
			l.base.IdleConnTimeout = 30 * time.Second
			l.get(target + "/")
			time.Sleep(29 * time.Second)
			require.True(t, l.proxy.Conns()[0].Open)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			require.False(t, l.proxy.Conns()[0].Open)
		})
	}
}
