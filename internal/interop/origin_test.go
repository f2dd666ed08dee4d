package interop_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// An origin is a server behind the proxies. It answers with what [echo] says of
// the body that it got.
type origin struct {
	url, tlsURL string
	certificate *x509.Certificate
	requests    atomic.Int64
	bodies      atomic.Int64 // of requests that have one
}

// newOrigin starts an origin. The test fails if a proxy's credentials reach it.
func newOrigin(t testing.TB) *origin {
	t.Helper()
	o := new(origin)
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		o.requests.Add(1)
		if len(req.Header.Values("Proxy-Authorization")) > 0 {
			t.Error("the origin got Proxy-Authorization")
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Errorf("the origin got a broken body: %v", err)
		}
		if len(body) > 0 {
			o.bodies.Add(1)
		}
		io.WriteString(w, echo(body))
	})

	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	o.url, o.tlsURL, o.certificate = plain.URL, secure.URL, secure.Certificate()
	return o
}

// targets returns the URLs for the two ways through a proxy.
func (o *origin) targets() map[string]string {
	return map[string]string{"forwarded": o.url, "tunnelled": o.tlsURL}
}

// echo describes a body.
func echo(body []byte) string {
	sum := sha256.Sum256(body)
	return fmt.Sprintf("%d bytes, SHA-256 %s", len(body), hex.EncodeToString(sum[:]))
}

var emptyBody = echo(nil)
