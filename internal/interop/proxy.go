package interop

import (
	"crypto/x509"
	"net/url"
	"testing"
)

// serverName is the name of every proxy. It need not resolve.
const serverName = "proxy.example.com"

// DeniedHost is a host to which squid and Apache refuse access, whoever the user
// is. It need not resolve.
const DeniedHost = "denied.example.com"

// A Proxy is a proxy that runs.
type Proxy struct {
	// URL is where it listens in the clear.
	URL *url.URL

	// TLSURL is where it listens with TLS, nil if it doesn't.
	TLSURL *url.URL

	// Certificate is the one at TLSURL, for a client's root pool.
	Certificate *x509.Certificate

	process   *Process
	accessLog string
}

// Stop stops the proxy. It is stopped at the end of the test in any case.
func (p *Proxy) Stop() { p.process.Stop() }

// newProxy returns a proxy that is yet to be started, and the certificate for its
// TLS side, nil if it has none.
func newProxy(t testing.TB, dir *Dir, withTLS bool) (*Proxy, *Certificate) {
	t.Helper()
	p := &Proxy{
		URL:       &url.URL{Scheme: "http", Host: Addr(t)},
		accessLog: dir.Path(accessLogName),
	}
	if !withTLS {
		return p, nil
	}
	cert := NewCertificate(t, dir)
	p.TLSURL = &url.URL{Scheme: "https", Host: Addr(t)}
	p.Certificate = cert.X509
	return p, cert
}

// addrs returns where the proxy listens.
func (p *Proxy) addrs() []string {
	if p.TLSURL == nil {
		return []string{p.URL.Host}
	}
	return []string{p.URL.Host, p.TLSURL.Host}
}
