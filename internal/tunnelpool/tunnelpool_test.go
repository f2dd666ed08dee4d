package tunnelpool_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/tunnelpool"
)

const host = "origin.example.com"

// ca is shared, since keys take time to make.
var ca = testproxy.NewCA()

// A lab is an origin server that speaks HTTP/1.1 and HTTP/2, and is reached through what
// stands for tunnels.
type lab struct {
	t       *testing.T
	network *testproxy.Network

	mu     sync.Mutex
	opened int
	open   int
}

// newLab starts the server. /slow sends the end of its body when slow is closed.
func newLab(t *testing.T, slow <-chan struct{}) *lab {
	l := &lab{t: t, network: testproxy.NewNetwork()}
	ln, err := l.network.Listen(host + ":443")
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-slow
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	srv := &http.Server{Handler: mux, TLSConfig: ca.ServerConfig(host), ConnState: l.count}
	go srv.ServeTLS(ln, "", "")
	t.Cleanup(func() { srv.Close() })
	return l
}

func (l *lab) count(_ net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew:
		l.opened++
		l.open++
	case http.StateClosed, http.StateHijacked:
		l.open--
	}
}

// connections says how many connections the server has had and how many are open.
func (l *lab) connections(opened, open int) {
	l.t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(l.t, [2]int{opened, open}, [2]int{l.opened, l.open})
}

// pool returns a Pool that trusts the server.
func (l *lab) pool(base *http.Transport) *tunnelpool.Pool {
	p := tunnelpool.New(base, l.network.DialContext)
	if p.TLSClientConfig == nil {
		p.TLSClientConfig = &tls.Config{}
	}
	p.TLSClientConfig.RootCAs = ca.Pool()
	return p
}

func (l *lab) request(path string) *http.Request {
	u := &url.URL{Scheme: "https", Host: host, Path: path}
	return (&http.Request{URL: u, Header: http.Header{}}).WithContext(l.t.Context())
}

func (l *lab) begin(p *tunnelpool.Pool, path string) *http.Response {
	l.t.Helper()
	resp, err := p.RoundTrip(l.request(path))
	require.NoError(l.t, err)
	return resp
}

func (l *lab) finish(resp *http.Response) {
	l.t.Helper()
	_, err := io.Copy(io.Discard, resp.Body)
	require.NoError(l.t, err)
	require.NoError(l.t, resp.Body.Close())
}

// get makes a request and returns the protocol.
func (l *lab) get(p *tunnelpool.Pool) string {
	l.t.Helper()
	resp := l.begin(p, "/")
	l.finish(resp)
	return resp.Proto
}

func noDial(string, string) (net.Conn, error) {
	return nil, errors.New("a dial function of base was called")
}

func noDialContext(context.Context, string, string) (net.Conn, error) { return noDial("", "") }

// protocols returns a setting of Transport.Protocols.
func protocols(http1, http2 bool) *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(http1)
	p.SetHTTP2(http2)
	return &p
}

// A Pool speaks what base would speak.
func TestProtocol(t *testing.T) {
	type upgrades = map[string]func(string, *tls.Conn) http.RoundTripper
	shared := func(string, *tls.Conn) http.RoundTripper { panic("connections of a registered HTTP/2 are shared") }
	for _, tt := range []struct {
		desc string
		base *http.Transport
		used bool // before
		want string
	}{
		{"zero", &http.Transport{}, false, "HTTP/2.0"},
		{"zero, used", &http.Transport{}, true, "HTTP/2.0"},
		{"http.DefaultTransport", http.DefaultTransport.(*http.Transport).Clone(), false, "HTTP/2.0"},
		{"TLS settings", &http.Transport{TLSClientConfig: &tls.Config{}}, false, "HTTP/1.1"},
		{"TLS settings, used", &http.Transport{TLSClientConfig: &tls.Config{}}, true, "HTTP/1.1"},
		{"TLS settings, asks for HTTP/2", &http.Transport{TLSClientConfig: &tls.Config{}, ForceAttemptHTTP2: true}, false, "HTTP/2.0"},
		{"dial function", &http.Transport{DialContext: noDialContext}, false, "HTTP/1.1"},
		{"dial function, asks for HTTP/2", &http.Transport{DialContext: noDialContext, ForceAttemptHTTP2: true}, false, "HTTP/2.0"},
		{"dial functions of old", &http.Transport{Dial: noDial, DialTLS: noDial}, false, "HTTP/1.1"}, //lint:ignore SA1019 they are ignored
		{"dial function for TLS", &http.Transport{DialTLSContext: noDialContext}, false, "HTTP/1.1"},
		{"switched off", &http.Transport{TLSNextProto: upgrades{}, ForceAttemptHTTP2: true}, false, "HTTP/1.1"},
		{"HTTP/1 alone", &http.Transport{Protocols: protocols(true, false)}, false, "HTTP/1.1"},
		{"HTTP/2 alone", &http.Transport{Protocols: protocols(false, true)}, false, "HTTP/2.0"},
		{"both", &http.Transport{Protocols: protocols(true, true), DialContext: noDialContext}, false, "HTTP/2.0"},
		{"registered", &http.Transport{TLSNextProto: upgrades{"h2": shared}}, false, "HTTP/2.0"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, nil)
				if tt.used {
					_, err := tt.base.RoundTrip(&http.Request{URL: &url.URL{Scheme: "http"}, Header: http.Header{}})
					require.Error(t, err)
				}
				p := l.pool(tt.base)
				require.Equal(t, tt.want, l.get(p))
				p.CloseIdleConnections()
				l.connections(1, 0)
			})
		})
	}
}

// A Pool asks no proxy and dials by itself, whatever base says, which keeps its settings.
func TestSettingsOfBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		base := &http.Transport{
			Proxy:                 func(*http.Request) (*url.URL, error) { return nil, errors.New("base was asked for a proxy") },
			DialContext:           noDialContext,
			DialTLSContext:        noDialContext,
			ProxyConnectHeader:    http.Header{"A": {"b"}},
			GetProxyConnectHeader: func(context.Context, *url.URL, string) (http.Header, error) { return nil, nil },
			OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error {
				return nil
			},
			DisableCompression: true,
			MaxConnsPerHost:    7,
		}
		p := l.pool(base)
		l.get(p)
		require.True(t, p.DisableCompression)
		require.Equal(t, 7, p.MaxConnsPerHost)
		require.Nil(t, p.ProxyConnectHeader)
		require.Nil(t, p.GetProxyConnectHeader)
		require.Nil(t, p.OnProxyConnectResponse)
		require.NotNil(t, base.Proxy)
		require.NotNil(t, base.DialContext)
		require.NotNil(t, base.DialTLSContext)
		require.NotNil(t, base.ProxyConnectHeader)
		p.CloseIdleConnections()
	})
}

// Pools of the same base share no connection, and base has none of theirs.
func TestPoolsShareNothing(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, nil)
			base := &http.Transport{Protocols: protocols(true, http2)}
			one, other := l.pool(base), l.pool(base)
			for range 3 {
				l.get(one)
			}
			l.connections(1, 1)
			l.get(other)
			l.connections(2, 2)
			base.CloseIdleConnections()
			l.connections(2, 2)
			one.Retire()
			l.connections(2, 1)
			l.get(other)
			l.connections(2, 1)
			other.CloseIdleConnections()
			l.connections(2, 0)
		})
	}
}

// A retired Pool closes what is idle, and what was in use when that comes back.
func TestRetiredPoolCloses(t *testing.T) {
	for _, tt := range []struct {
		desc  string
		http2 bool
	}{
		{"HTTP/1.1", false},
		{"HTTP/2", true},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			base := &http.Transport{Protocols: protocols(true, tt.http2)}
			t.Run("idle", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, nil)
					p := l.pool(base)
					l.get(p)
					p.Used()
					l.connections(1, 1)
					p.Retire()
					l.connections(1, 0)
				})
			})
			t.Run("in use", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					slow := make(chan struct{})
					l := newLab(t, slow)
					p := l.pool(base)
					resp := l.begin(p, "/slow")
					p.Retire()
					p.Used()
					l.connections(1, 1)
					close(slow)
					l.finish(resp)
					p.Used()
					l.connections(1, 0)
				})
			})
			t.Run("a request begins late", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, nil)
					p := l.pool(base)
					p.Retire()
					for n := range 3 {
						l.get(p)
						p.Used()
						l.connections(n+1, 0)
					}
				})
			})
		})
	}
}

// A Set closes the idle connections of all its Pools, also of those that nobody else knows
// any more, and leaves what is in use until it is told again.
func TestSetClosesIdle(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			slow := make(chan struct{})
			l := newLab(t, slow)
			base := &http.Transport{Protocols: protocols(true, http2)}
			var set tunnelpool.Set
			set.CloseIdle() // of none
			for range 5 {
				p := l.pool(base)
				set.Add(p)
				l.get(p)
			}
			busy := l.pool(base)
			set.Add(busy)
			resp := l.begin(busy, "/slow")
			busy.Retire()
			runtime.GC()
			runtime.GC()
			l.connections(6, 6)
			set.CloseIdle()
			l.connections(6, 1)
			close(slow)
			l.finish(resp)
			set.CloseIdle()
			l.connections(6, 0)
		})
	}
}

// Whatever closes a Pool's connections while it is in use, its requests succeed and nothing
// stays open.
func TestConcurrentUseOfASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		base := &http.Transport{Protocols: protocols(true, false)}
		var set tunnelpool.Set
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				p := l.pool(base)
				set.Add(p)
				wg.Go(p.Retire)
				resp, err := p.RoundTrip(l.request("/"))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				p.Used()
				set.CloseIdle()
			})
		}
		wg.Wait()
		synctest.Wait()
		require.Zero(t, l.open)
		require.GreaterOrEqual(t, l.opened, 20)
	})
}
