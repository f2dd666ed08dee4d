package testproxy_test

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

func TestProxy_onLoopback(t *testing.T) {
	ca := testproxy.NewCA()
	origin := testproxy.StartOrigin(t, testproxy.OriginConfig{TLS: ca.ServerConfig("origin.example.com")})
	proxy := testproxy.Start(t, testproxy.Config{
		TLS:   ca.ServerConfig("127.0.0.1"),
		Auth:  []testproxy.Mechanism{&testproxy.Basic{Accounts: &testproxy.Accounts{Passwords: map[string]string{"ann": "s3cret"}}}},
		Hosts: map[string]string{"origin.example.com:443": origin.Addr()},
	})
	transport := &http.Transport{Proxy: withUser(proxy.URL()), TLSClientConfig: ca.ClientConfig()}
	resp, err := (&http.Client{Transport: transport}).Get("https://origin.example.com/")
	require.NoError(t, err)
	require.Equal(t, "hello from GET /", text(t, resp))
	require.Equal(t, []string{"c1 CONNECT origin.example.com:443 Basic -> 200"}, proxy.Transcript())

	// The tunnel is still open, and so it stays idle until it is closed here.
	require.NoError(t, proxy.Close())
	require.NoError(t, origin.Close())
	transport.CloseIdleConnections()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	require.NotContains(t, string(stacks), "testproxy.(*Conn)")
	require.NotContains(t, string(stacks), "testproxy.(*exchange)")
}

func TestProxy_serveOwnListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	proxy := testproxy.New(testproxy.Config{})
	done := make(chan error)
	go func() { done <- proxy.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
	head := make([]byte, len("HTTP/1.1 400"))
	_, err = io.ReadFull(conn, head)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 400", string(head))
	require.NoError(t, proxy.Close())
	require.NoError(t, <-done)
	require.ErrorIs(t, proxy.Serve(ln), net.ErrClosed)
}

func TestProxy_closesWhateverIsGoingOn(t *testing.T) {
	stall := func(pt testproxy.Point) testproxy.Config {
		return testproxy.Config{Fault: testproxy.Always(testproxy.StallAt(pt))}
	}
	for _, test := range []struct {
		desc   string
		config testproxy.Config
		send   string
	}{
		{desc: "idle"},
		{desc: "in a head", send: "GET " + target},
		{desc: "in a tunnel", send: "CONNECT origin.example.com:80 HTTP/1.1\r\n" + basic + "\r\n"},
		{desc: "in a body", send: "POST " + target + " HTTP/1.1\r\n" + basic + "Content-Length: 9\r\n\r\n1"},
		{desc: "in a refused body", send: "POST " + target + " HTTP/1.1\r\nContent-Length: 9\r\n\r\n1"},
		{desc: "stalled before the answer", config: stall(testproxy.OnRequest), send: "GET " + target + " HTTP/1.1\r\n\r\n"},
		{desc: "stalled in the body", config: stall(testproxy.InBody), send: "GET " + target + " HTTP/1.1\r\n\r\n"},
		{
			desc:   "dead of a body",
			config: testproxy.Config{RefusedBody: testproxy.SquidBody},
			send:   "POST " + target + " HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + strings.Repeat("x", 65536),
		}, {
			desc:   "stalled connection",
			config: testproxy.Config{ConnFault: func(int) testproxy.ConnAction { return testproxy.StallConn }},
			send:   "GET " + target + " HTTP/1.1\r\n\r\n",
		}, {
			desc:   "endless body that nobody reads",
			config: testproxy.Config{Fault: testproxy.Always(testproxy.EndlessBody())},
			send:   "GET " + target + " HTTP/1.1\r\n\r\n",
		},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, test.config)
				c := w.dial()
				c.send(test.send)
				synctest.Wait()
				require.True(t, w.proxy.Conns()[0].Open)
				require.NoError(t, w.proxy.Close())
				require.False(t, w.proxy.Conns()[0].Open)
			})
		})
	}
}

func TestProxy_disconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{})
		c := w.dial()
		require.Equal(t, 200, c.get(basic).StatusCode)
		w.proxy.Disconnect()
		c.requireClosed()
		require.Equal(t, 200, w.dial().get(basic).StatusCode)
		w.proxy.Reset()
		synctest.Wait()
		require.Empty(t, w.proxy.Transcript())
		require.Len(t, w.proxy.Conns(), 1)
		require.Equal(t, 2, w.proxy.Conns()[0].Number)
	})
}

// The origin answers before it has read the body, the rest of which is under way
// when the connection stalls.
func TestProxy_closesWhileABodyIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := testproxy.NewNetwork()
		testproxy.StartOrigin(t, testproxy.OriginConfig{
			Network: network,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.NewResponseController(w).EnableFullDuplex()
				io.WriteString(w, "early")
				http.NewResponseController(w).Flush()
				io.Copy(io.Discard, r.Body)
			}),
		})
		proxy := testproxy.Start(t, testproxy.Config{
			Network: network, Fault: testproxy.Always(testproxy.StallAt(testproxy.InHeader)),
		})
		c := (&world{t: t, network: network, proxy: proxy}).dial()
		c.send("POST " + target + " HTTP/1.1\r\nHost: origin.example.com\r\nContent-Length: 9\r\n\r\n1")
		synctest.Wait()
		require.Equal(t, "stalled", proxy.Legs()[0].Broken)
		require.NoError(t, proxy.Close())
	})
}
