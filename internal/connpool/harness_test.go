package connpool_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/go-proxyauth/proxyauth/internal/leaktest"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

const (
	proxyAddr = "proxy.example:3128"
	ok        = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	empty     = "HTTP/1.1 204 No Content\r\n\r\n"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

// An env is a pool and a proxy, in a bubble of synctest. The proxy gives the answers of
// answer, to the n-th connection, counted from 1; an empty one closes the connection.
type env struct {
	t      testing.TB
	base   *http.Transport
	answer func(n int, req *http.Request) string
	script func(n int, conn net.Conn, br *bufio.Reader) // in place of answer
	dial   func(context.Context) (net.Conn, *tls.ConnectionState, error)
	pool   *connpool.Pool

	network  *testproxy.Network
	listener net.Listener
	limit    int64
	open     atomic.Int64 // connections of the client
	dialed   atomic.Int64
	reported atomic.Int64
	mu       sync.Mutex
	peers    []net.Conn
}

func run(t *testing.T, base *http.Transport, test func(*testing.T, *env)) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, base)
		test(t, e)
		e.finish()
	})
}

func newEnv(t testing.TB, base *http.Transport) *env {
	e := &env{t: t, base: base, network: testproxy.NewNetwork(), limit: int64(base.MaxConnsPerHost)}
	e.answer = func(int, *http.Request) string { return ok }
	e.dial = e.connect
	var err error
	e.listener, err = e.network.Listen(proxyAddr)
	require.NoError(t, err)
	e.pool = connpool.New(connpool.Config{
		Base: base,
		Addr: proxyAddr,
		Dial: func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) { return e.dial(ctx) },
		OnClose: func(*connpool.Conn) {
			e.reported.Add(1)
			e.pool.Counts() // not called under the lock
		},
	})
	go e.serve()
	return e
}

// finish checks that nothing is left.
func (e *env) finish() {
	e.pool.CloseIdle()
	synctest.Wait()
	open, available, waiting, leaving := e.pool.Counts()
	require.Equal(e.t, [4]int{}, [4]int{open, available, waiting, leaving}, "open, available, waiting, leaving")
	require.Zero(e.t, e.open.Load(), "open connections")
	require.Equal(e.t, e.dialed.Load(), e.reported.Load(), "connections reported to OnClose")
	e.listener.Close()
}

type counted struct {
	net.Conn
	once sync.Once
	e    *env
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.e.open.Add(-1) })
	return err
}

func (c *counted) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

func (e *env) connect(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
	conn, err := e.network.DialContext(ctx, "tcp", proxyAddr)
	if err != nil {
		return nil, nil, err
	}
	e.dialed.Add(1)
	if n := e.open.Add(1); e.limit > 0 && n > e.limit {
		e.t.Errorf("%d connections are open, want at most %d", n, e.limit)
	}
	return &counted{Conn: conn, e: e}, nil, nil
}

func (e *env) serve() {
	for {
		conn, err := e.listener.Accept()
		if err != nil {
			return
		}
		e.mu.Lock()
		e.peers = append(e.peers, conn)
		n := len(e.peers)
		e.mu.Unlock()
		go func() {
			defer conn.Close()
			br := bufio.NewReader(conn)
			if e.script != nil {
				e.script(n, conn, br)
				return
			}
			e.serveConn(n, conn, br)
		}()
	}
}

func (e *env) serveConn(n int, conn net.Conn, br *bufio.Reader) {
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		answer := e.answer(n, req)
		if answer == "" {
			return
		}
		if _, err := io.WriteString(conn, answer); err != nil || strings.Contains(answer, "\r\nConnection: close") {
			return
		}
	}
}

// peer returns the proxy's end of the n-th connection.
func (e *env) peer(n int) net.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peers[n-1]
}

func (e *env) get(want connpool.Want) *connpool.Conn {
	e.t.Helper()
	c, err := e.pool.Get(e.t.Context(), want)
	require.NoError(e.t, err)
	return c
}

// A call is a Get that is under way.
type call struct {
	e      *env
	conn   *connpool.Conn
	err    error
	done   atomic.Bool
	cancel context.CancelFunc
}

// start calls Get and waits until that has got as far as it gets.
func (e *env) start(want connpool.Want) *call {
	ctx, cancel := context.WithCancel(e.t.Context())
	c := &call{e: e, cancel: cancel}
	go func() {
		c.conn, c.err = e.pool.Get(ctx, want)
		c.done.Store(true)
	}()
	synctest.Wait()
	return c
}

func (c *call) wantWaiting() {
	c.e.t.Helper()
	synctest.Wait()
	require.False(c.e.t, c.done.Load(), "Get has returned")
}

func (c *call) wantConn() *connpool.Conn {
	c.e.t.Helper()
	synctest.Wait()
	require.True(c.e.t, c.done.Load(), "Get waits")
	require.NoError(c.e.t, c.err)
	return c.conn
}

func (c *call) wantErr(want error) {
	c.e.t.Helper()
	synctest.Wait()
	require.True(c.e.t, c.done.Load(), "Get waits")
	require.ErrorIs(c.e.t, c.err, want)
}

func (e *env) request(method, url string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(e.t.Context(), method, url, body)
	require.NoError(e.t, err)
	return req
}

// leg makes a leg and reads its answer.
func (e *env) leg(c *connpool.Conn) {
	e.t.Helper()
	resp, err := c.RoundTrip(e.request("GET", "http://origin.example/", nil))
	require.NoError(e.t, err)
	e.read(resp)
}

func (e *env) read(resp *http.Response) string {
	e.t.Helper()
	text, err := io.ReadAll(resp.Body)
	require.NoError(e.t, err)
	require.NoError(e.t, resp.Body.Close())
	return string(text)
}

// exchange makes a leg on a connection of its own choice, and returns that.
func (e *env) exchange(want connpool.Want) *connpool.Conn {
	e.t.Helper()
	c := e.get(want)
	e.leg(c)
	c.Release()
	return c
}

// gate returns a dial function that waits for open to be called, once for each dial.
func (e *env) gate() (open func()) {
	tickets := make(chan struct{}, 1000)
	e.dial = func(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
		select {
		case <-tickets:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		return e.connect(ctx)
	}
	return func() { tickets <- struct{}{}; synctest.Wait() }
}

func login(name string) connpool.Want {
	return connpool.Want{Fits: func(c *connpool.Conn) bool { return c.Login == name }}
}
