package interop_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// bareTransport returns a transport of net/http that goes via one URL of proxy.
func bareTransport(t testing.TB, origin *origin, proxy *interop.Proxy, via *url.URL) *http.Transport {
	roots := x509.NewCertPool()
	roots.AddCert(origin.certificate)
	if proxy.Certificate != nil {
		roots.AddCert(proxy.Certificate)
	}
	return &http.Transport{
		Proxy:           http.ProxyURL(via),
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext:     new(net.Dialer).DialContext,
	}
}

// newTransport returns the transport under test.
func newTransport(t testing.TB, base *http.Transport, account interop.Account) *proxyauth.Transport {
	// As in http.DefaultTransport, which by itself fails at a TLS proxy that
	// takes the HTTP/2 it is offered, as Apache here does.
	base.ForceAttemptHTTP2 = true
	transport := &proxyauth.Transport{
		Base:        base,
		Schemes:     []proxyauth.Scheme{&digest.Scheme{}, &basic.Scheme{}},
		Credentials: fixed(account),
		Logger:      scanned.Logger(t.Name()),
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// newClient returns a client that goes via one URL of proxy as account.
func newClient(t testing.TB, origin *origin, proxy *interop.Proxy, via *url.URL, account interop.Account) *http.Client {
	base := bareTransport(t, origin, proxy, via)
	return clientOf(t, newTransport(t, base, account), base)
}

// clientOf returns a client of rt, whose connections base makes. Its
// CloseIdleConnections waits until there is none: net/http learns only after the
// response of an HTTP/2 connection has ended that this is idle, and Apache logs a
// tunnel when it ends.
func clientOf(t testing.TB, rt http.RoundTripper, base *http.Transport) *http.Client {
	q := &quitter{RoundTripper: rt, t: t}
	dial := base.DialContext
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		q.open.Add(1)
		return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { q.open.Add(-1) })}, nil
	}
	client := &http.Client{Transport: q}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

type quitter struct {
	http.RoundTripper
	t    testing.TB
	open atomic.Int64
}

func (q *quitter) CloseIdleConnections() {
	q.t.Helper()
	client := http.Client{Transport: q.RoundTripper}
	require.Eventually(q.t, func() bool {
		client.CloseIdleConnections()
		return q.open.Load() == 0
	}, quitTimeout, time.Millisecond, "connections are left")
}

// quitTimeout is long enough for a machine that has much else to do.
const quitTimeout = 30 * time.Second

// A countedConn is a connection of a quitter. What answers a short request is not read
// before the write of that has returned: net/http does not use a connection again
// if it learns of that some 50 ms after the answer, as it may where the machine has
// much else to do, and then there are more legs than a test expects.
type countedConn struct {
	net.Conn
	closed  func()
	writing sync.Mutex
}

// shortRequest is less than what net/http writes of a long one at a time.
const shortRequest = 4 << 10

func (c *countedConn) Write(b []byte) (int, error) {
	if len(b) < shortRequest {
		c.writing.Lock()
		defer c.writing.Unlock()
	}
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.writing.Lock()
	defer c.writing.Unlock()
	return n, err
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

func fixed(account interop.Account) proxyauth.CredentialsFunc {
	return func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		return credentialsOf(account), nil
	}
}

func credentialsOf(account interop.Account) proxyauth.Credentials {
	return proxyauth.Credentials{
		Username: account.Username,
		Password: proxyauth.NewSecret(account.Password),
	}
}

// get returns a response and its body, which has been read and closed.
func get(t testing.TB, client *http.Client, target string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	return resp, readBody(t, resp)
}

func readBody(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(body)
}

// concurrently runs n calls of f at a time and returns when all have, failing the
// test with their errors.
func concurrently(t testing.TB, n int, f func() error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f()
		})
	}
	close(start)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}
