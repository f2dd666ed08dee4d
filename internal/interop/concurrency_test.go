package interop_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
)

const (
	workers           = 64
	requestsPerWorker = 100
	requests          = workers * requestsPerWorker
)

// squid forgets a nonce whose counts arrive out of order, so that goroutines that
// share one make it challenge request after request.
func TestDigestForwardedConcurrently(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		desc string
		auth interop.SquidAuth
	}{
		{"as configured by default", interop.SquidDigest(0, ann)},
		{"strict", interop.SquidStrictDigest(ann)},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy, origin := interop.Squid{Auth: []interop.SquidAuth{tc.auth}}.Start(t), newOrigin(t)
			base := bareTransport(t, origin, proxy, proxy.URL)
			base.MaxIdleConnsPerHost = workers
			client := clientOf(t, newTransport(t, base, ann), base)
			concurrently(t, workers, func() error {
				return repeat(requestsPerWorker, func() error { return fetch(client, origin.url) })
			})
			proxy.Stop()
			requireExtraLegs(t, proxy, 2)
		})
	}
}

func TestDigestTunnelledConcurrently(t *testing.T) {
	t.Parallel()
	proxy, origin := squidDigest(t), newOrigin(t)
	transport := newTransport(t, bareTransport(t, origin, proxy, proxy.URL), ann)
	greeter := newGreeter(t)
	concurrently(t, workers, func() error {
		return repeat(requestsPerWorker, func() error { return greet(t, transport, greeter) })
	})
	proxy.Stop()
	requireExtraLegs(t, proxy, 3)
}

func squidDigest(t *testing.T) *interop.Proxy {
	return interop.Squid{Auth: []interop.SquidAuth{interop.SquidDigest(0, ann)}}.Start(t)
}

// requireExtraLegs takes a limit in percent.
func requireExtraLegs(t *testing.T, proxy *interop.Proxy, limit int) {
	t.Helper()
	challenged := len(proxy.Challenged(t))
	require.GreaterOrEqual(t, len(proxy.Legs(t)), requests+challenged, "legs are missing from the log")
	t.Logf("%d of %d requests were challenged", challenged, requests)
	require.LessOrEqual(t, challenged, requests*limit/100)
}

func repeat(n int, f func() error) error {
	for range n {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func fetch(client *http.Client, target string) error {
	resp, err := client.Get(target)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(body) != emptyBody) {
		err = fmt.Errorf("%s, %q", resp.Status, body)
	}
	return err
}

const greeting = "hello"

// newGreeter returns the address of a server that greets and closes.
func newGreeter(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, greeting)
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

func greet(t *testing.T, transport *proxyauth.Transport, addr string) error {
	conn, err := transport.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err == nil && string(got) != greeting {
		err = fmt.Errorf("got %q through the tunnel", got)
	}
	return err
}
