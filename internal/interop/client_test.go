package interop_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"

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
	base := &http.Transport{
		Proxy:           http.ProxyURL(via),
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	t.Cleanup(base.CloseIdleConnections)
	return base
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
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// newClient returns a client that goes via one URL of proxy as account.
func newClient(t testing.TB, origin *origin, proxy *interop.Proxy, via *url.URL, account interop.Account) *http.Client {
	return &http.Client{Transport: newTransport(t, bareTransport(t, origin, proxy, via), account)}
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
