package connpool_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// poolTripper makes requests as an exchange of one leg does.
type poolTripper struct{ e *env }

func (p poolTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	c, err := p.e.pool.Get(req.Context(), anyConn)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	return c.RoundTrip(req)
}

func (p poolTripper) CloseIdleConnections() { p.e.pool.CloseIdle() }

// events records the hooks of httptrace.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

func (e *events) trace(ctx context.Context, name string) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(addr string) { e.add("%s: GetConn %s", name, addr) },
		GotConn: func(i httptrace.GotConnInfo) {
			e.add("%s: GotConn reused=%v idle=%v for %v", name, i.Reused, i.WasIdle, i.IdleTime)
		},
		PutIdleConn:          func(err error) { e.add("%s: PutIdleConn %v", name, err) },
		GotFirstResponseByte: func() { e.add("%s: GotFirstResponseByte", name) },
		ConnectStart:         func(_, addr string) { e.add("%s: ConnectStart %s", name, addr) },
	})
}

// A client makes traced requests, through the pool or net/http's Transport.
type client struct {
	*events
	t  *testing.T
	e  *env
	rt http.RoundTripper
}

func (c *client) start(name string) *http.Response {
	req := c.e.request("GET", origin, nil)
	resp, err := c.rt.RoundTrip(req.WithContext(c.trace(c.t.Context(), name)))
	if err != nil {
		c.add("%s: failed", name)
		return nil
	}
	return resp
}

func (c *client) do(name string) {
	if resp := c.start(name); resp != nil {
		c.e.read(resp)
	}
	synctest.Wait()
}

func TestHooksAreThoseOfNetHTTP(t *testing.T) {
	for _, test := range []struct {
		desc string
		base *http.Transport
		run  func(c *client)
	}{{
		desc: "one after the other",
		run:  func(c *client) { c.do("a"); time.Sleep(time.Second); c.do("b") },
	}, {
		desc: "without a body",
		run: func(c *client) {
			c.e.answer = func(int, *http.Request) string { return empty }
			c.do("a")
			c.do("b")
		},
	}, {
		desc: "answers that say close",
		run: func(c *client) {
			c.e.answer = func(int, *http.Request) string { return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok" }
			c.do("a")
			c.do("b")
		},
	}, {
		desc: "both at once",
		run: func(c *client) {
			resp := c.start("a")
			c.do("b")
			c.e.read(resp)
			time.Sleep(time.Second)
			c.do("c")
		},
	}, {
		desc: "one waits for the other",
		base: &http.Transport{MaxConnsPerHost: 1},
		run: func(c *client) {
			resp := c.start("a")
			go func() { c.e.read(c.start("b")) }()
			synctest.Wait()
			time.Sleep(time.Second)
			c.e.read(resp)
			time.Sleep(time.Second)
			synctest.Wait()
		},
	}, {
		desc: "a dial that comes too late",
		run: func(c *client) {
			resp := c.start("a")
			c.e.network.Blackhole(proxyAddr)
			go func() { c.e.read(c.start("b")) }()
			synctest.Wait()
			c.e.read(resp)
			synctest.Wait()
		},
	}, {
		desc: "refused dial",
		run:  func(c *client) { c.e.listener.Close(); c.do("a") },
	}, {
		desc: "closed by the proxy",
		run: func(c *client) {
			c.do("a")
			c.e.peer(1).Close()
			synctest.Wait()
			c.do("b")
		},
	}, {
		desc: "no answer",
		run:  func(c *client) { c.e.answer = func(int, *http.Request) string { return "" }; c.do("a") },
	}, {
		desc: "CloseIdleConnections",
		run: func(c *client) {
			c.do("a")
			c.rt.(interface{ CloseIdleConnections() }).CloseIdleConnections()
			c.do("b")
		},
	}, {
		desc: "IdleConnTimeout",
		base: &http.Transport{IdleConnTimeout: time.Minute},
		run:  func(c *client) { c.do("a"); time.Sleep(time.Hour); c.do("b") },
	}, {
		desc: "context that has ended",
		run: func(c *client) {
			ctx, cancel := context.WithCancel(c.trace(c.t.Context(), "a"))
			cancel()
			_, err := c.rt.RoundTrip(c.e.request("GET", origin, nil).WithContext(ctx))
			c.add("%v", err)
		},
	}} {
		t.Run(test.desc, func(t *testing.T) {
			if test.base == nil {
				test.base = new(http.Transport)
			}
			var got [2][]string
			for i := range got {
				run(t, test.base, func(t *testing.T, e *env) {
					c := &client{t: t, e: e, events: new(events), rt: poolTripper{e}}
					if i == 1 {
						std := test.base.Clone()
						std.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxyAddr})
						std.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
							return e.network.DialContext(ctx, "tcp", proxyAddr)
						}
						defer std.CloseIdleConnections()
						c.rt = std
					}
					test.run(c)
					// Those of two requests have no order.
					slices.SortStableFunc(c.list, func(a, b string) int { return cmp.Compare(a[0], b[0]) })
					got[i] = c.list
				})
			}
			require.Equal(t, got[1], got[0])
			require.NotEmpty(t, got[0])
		})
	}
}

// Hooks may use the pool.
func TestHooksAreNotCalledUnderTheLock(t *testing.T) {
	run(t, &http.Transport{}, func(t *testing.T, e *env) {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GetConn:     func(string) { e.pool.CloseIdle() },
			GotConn:     func(httptrace.GotConnInfo) { e.pool.CloseIdle() },
			PutIdleConn: func(error) { e.pool.Counts() },
		})
		for range 2 {
			c, err := e.pool.Get(ctx, anyConn)
			require.NoError(t, err)
			resp, err := c.RoundTrip(e.request("GET", origin, nil).WithContext(ctx))
			require.NoError(t, err)
			c.Release()
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
		}
	})
}
