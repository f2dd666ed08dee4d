package connpool_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
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
