package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// A cut is what becomes of a connection at the byte that is its last.
type cut struct {
	writes bool  // counts what is written, not what is read
	half   bool  // the other direction stays open
	err    error // of the direction that is cut
}

// A cutter counts the bytes that go through its connections in one direction, and
// cuts the connection that would go past a limit.
type cutter struct {
	cut
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	limit int // -1 for none
	count int
	seen  []byte // while there is no limit
}

func (c *cutter) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cutter: c}, nil
}

// allow returns how many of the bytes may pass, once: what comes after the cut goes
// through whole.
func (c *cutter) allow(b []byte) (allowed int, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit < 0 {
		c.seen = append(c.seen, b...)
	}
	n, before := len(b), c.count
	c.count += n
	if c.limit < 0 || before > c.limit || c.count <= c.limit {
		return n, false
	}
	return c.limit - before, true
}

// disarm lets everything pass from now on.
func (c *cutter) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = -1
}

type cutConn struct {
	net.Conn
	cutter *cutter
	dead   atomic.Bool // in the direction that is cut
}

// kill cuts the connection.
func (c *cutConn) kill() {
	c.dead.Store(true)
	if !c.cutter.half {
		c.Conn.Close()
	}
}

func (c *cutConn) Read(b []byte) (int, error) {
	if c.cutter.writes {
		return c.Conn.Read(b)
	}
	if c.dead.Load() {
		return 0, c.cutter.err
	}
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	n, cut := c.cutter.allow(b[:n])
	if cut {
		c.kill()
		if n == 0 {
			return 0, c.cutter.err
		}
	}
	return n, err
}

func (c *cutConn) Write(b []byte) (int, error) {
	if !c.cutter.writes {
		return c.Conn.Write(b)
	}
	if c.dead.Load() {
		return 0, c.cutter.err
	}
	n, cut := c.cutter.allow(b)
	if !cut {
		return c.Conn.Write(b)
	}
	n, _ = c.Conn.Write(b[:n])
	c.kill()
	return n, c.cutter.err
}

// TestCutAtEveryByte cuts the connection to the proxy at every byte of the exchange
// where something changes, in either direction: the request gets through, or fails, and
// the next one gets through. Cuts within TLS come every few bytes, and all others do so
// unless PROXYAUTH_THOROUGH is set. Negotiate has its ticket already.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc string
		cut  cut
		tls  bool
		step int // of the bytes, or of those at which something changes
	}{
		{"reading", cut{err: io.EOF}, false, 1},
		{"writing", cut{writes: true, err: syscall.ECONNRESET}, false, 1},
		{"reading, reset", cut{err: syscall.ECONNRESET}, false, 7},
		{"reading, half-closed", cut{err: io.EOF, half: true}, false, 7},
		{"writing, half-closed", cut{writes: true, err: syscall.EPIPE, half: true}, false, 7},
		{"reading, TLS", cut{err: io.EOF}, true, 101},
		{"writing, TLS", cut{writes: true, err: syscall.ECONNRESET}, true, 101},
	} {
		for i, m := range append(allMechanisms(), testproxy.Mechanism(nil)) {
			for _, path := range []string{"forwarded", "tunnelled"} {
				name := "Negotiate"
				if m != nil {
					name = m.Scheme()
				}
				t.Run(name+" "+path+" "+tt.desc, func(t *testing.T) {
					config := testproxy.Config{}
					if tt.tls {
						config.TLS = ca.ServerConfig("proxy.example.com")
					}
					start := func(t *testing.T) *lab {
						config := config
						config.Auth = []testproxy.Mechanism{m}
						return newLab(t, config)
					}
					if m == nil {
						start = ticketed(t, config)
					}
					whole := cutAt(t, start, path, tt.cut, -1)
					require.Greater(t, len(whole), 100)
					places := changes(whole)
					if tt.tls {
						places = nil
						for place := range whole {
							places = append(places, place)
						}
					}
					step := tt.step
					switch {
					case !sample.Thorough():
						step *= 10
					case raceEnabled:
						step *= 5
					}
					for n := i % step; n < len(places); n += step {
						cutAt(t, start, path, tt.cut, places[n])
					}
				})
			}
		}
	}
}

// ticketed returns labs whose proxies want Negotiate. They share the client's
// tickets: to make one takes longer than all the rest.
func ticketed(t *testing.T, config testproxy.Config) func(t *testing.T) *lab {
	r := newRealm(t)
	scheme := r.scheme()
	return func(t *testing.T) *lab {
		l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, config)
		l.rt.Schemes[0] = scheme
		return l.lab
	}
}

// firstPlaces are all within "HTTP/1.1 407 Proxy" and about as much of a request.
var firstPlaces = func() (all []int) {
	for i := range 20 {
		all = append(all, i)
	}
	return all
}()

// changes returns the places of messages at which it makes a difference that they end: in
// each half of a line, around its end, and in the first line at every byte.
func changes(messages []byte) (places []int) {
	start, first := 0, true
	for line := range bytes.SplitAfterSeq(messages, []byte("\n")) {
		n := len(line)
		in := []int{0, 1, n / 2, n - 2, n - 1}
		if first {
			in = append(in, firstPlaces[:min(n, len(firstPlaces))]...)
		}
		for _, place := range in {
			if place >= 0 && place < n {
				places = append(places, start+place)
			}
		}
		first = len(bytes.TrimSpace(line)) == 0
		start += n
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// cutAt makes two requests and returns the bytes of the first one, if it is not cut.
func cutAt(t *testing.T, start func(*testing.T) *lab, path string, cut cut, limit int) (whole []byte) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t)
		c := &cutter{cut: cut, dial: l.network.DialContext, limit: limit}
		l.base.DialContext = c.DialContext
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()

		resp, err := l.reach(ctx, path)
		if err == nil && resp.StatusCode != http.StatusOK {
			require.NotNil(t, explained(resp), "status %d at byte %d", resp.StatusCode, limit)
		}
		require.NoError(t, ctx.Err(), "hangs at byte %d", limit)
		whole = bytes.Clone(c.seen)

		c.disarm() // tickets are not of equal length: the first request may have ended before
		resp, err = l.reach(ctx, path)
		require.NoError(t, err, "after the cut at byte %d", limit)
		require.Equal(t, http.StatusOK, resp.StatusCode, "after the cut at byte %d", limit)
		l.requireQuiet()
	})
	return whole
}

// reach makes a request to the http:// origin, forwarded or over a raw tunnel.
func (l *lab) reach(ctx context.Context, path string) (*http.Response, error) {
	req := l.request(http.MethodGet, httpOrigin+"/", nil).WithContext(ctx)
	if path == "forwarded" {
		resp, _, err := l.do(req)
		return resp, err
	}
	conn, err := l.rt.DialContext(ctx, "tcp", "origin.example.com:80")
	scanned.Error(l.t.Name(), err)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), req)
}
