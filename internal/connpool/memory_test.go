//go:build !race

package connpool_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/stretchr/testify/require"
)

// An echo is a connection that answers each request that is written to it, and next to
// nothing else: it weighs little beside net/http's part.
type echo struct {
	net.Conn
	answers chan string
}

func newEcho() *echo { return &echo{answers: make(chan string, 1)} }

func (c *echo) Write(b []byte) (int, error) { c.answers <- ok; return len(b), nil }
func (c *echo) Close() error                { close(c.answers); return nil }
func (c *echo) Read(b []byte) (int, error) {
	answer, open := <-c.answers
	if !open {
		return 0, io.EOF
	}
	return copy(b, answer), nil
}

const idleConns = 300

// memory returns what idleConns idle connections of rt take, on the heap and in stacks.
func memory(t *testing.T, rt interface {
	http.RoundTripper
	CloseIdleConnections()
}) float64 {
	before := inUse()
	var answers []*http.Response
	for range idleConns {
		req, err := http.NewRequest("GET", origin, nil)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		answers = append(answers, resp)
	}
	for _, resp := range answers {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	clear(answers)
	after := inUse()
	rt.CloseIdleConnections()
	runtime.KeepAlive(rt)
	return (after - before) / idleConns
}

func inUse() float64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

func TestIdleConnectionsTakeNoMoreMemoryThanThoseOfNetHTTP(t *testing.T) {
	base := &http.Transport{
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     time.Minute,
		Proxy:               http.ProxyURL(&url.URL{Scheme: "http", Host: proxyAddr}),
		DialContext:         func(context.Context, string, string) (net.Conn, error) { return newEcho(), nil },
	}
	pool := connpool.New(connpool.Config{
		Base: base,
		Addr: proxyAddr,
		Dial: func(context.Context) (net.Conn, *tls.ConnectionState, error) { return newEcho(), nil, nil },
	})
	rt := poolTripper{&env{pool: pool}}
	memory(t, base) // fill the runtime's own pools
	memory(t, rt)
	var ratios []float64
	for range 5 {
		theirs, ours := memory(t, base), memory(t, rt)
		t.Logf("for each connection: net/http %.0f bytes, the pool %.0f", theirs, ours)
		ratios = append(ratios, ours/theirs)
	}
	slices.Sort(ratios)
	require.Less(t, ratios[2], 1.05, "median")
}

func BenchmarkExchange(b *testing.B) {
	base := &http.Transport{
		Proxy:       http.ProxyURL(&url.URL{Scheme: "http", Host: proxyAddr}),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return newEcho(), nil },
	}
	pool := connpool.New(connpool.Config{
		Base: base,
		Addr: proxyAddr,
		Dial: func(context.Context) (net.Conn, *tls.ConnectionState, error) { return newEcho(), nil, nil },
	})
	for _, bench := range []struct {
		name string
		rt   http.RoundTripper
	}{{"net/http", base}, {"pool", poolTripper{&env{pool: pool}}}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", origin, nil)
			for b.Loop() {
				resp, err := bench.rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	base.CloseIdleConnections()
	pool.CloseIdle()
}
