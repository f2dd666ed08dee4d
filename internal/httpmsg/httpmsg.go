// Package httpmsg has what a forwarded request, a probe in its place, their bodies and
// their errors look like. It knows nothing of authentication. What does not say otherwise
// may be used by several goroutines.
package httpmsg

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// Target returns the request-target of a forwarded request as net/http
// writes it (RFC 9112, Section 3.2.2), and something for one that it does not write.
func Target(r *http.Request) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	switch {
	case r.URL.Opaque != "" && r.Method == http.MethodConnect && r.URL.Path == "":
		return r.URL.Opaque
	case r.URL.Opaque != "":
		return r.URL.RequestURI()
	}
	if strings.ContainsFunc(host, func(c rune) bool { return c >= 0x80 || c == '%' }) {
		return writtenTarget(r.URL, host)
	}
	return r.URL.Scheme + "://" + host + r.URL.RequestURI()
}

// writtenTarget lets net/http write a request line: for hosts outside ASCII, of
// which it writes the punycode, and for ones with a zone.
func writtenTarget(u *url.URL, host string) string {
	var b bytes.Buffer
	r := &http.Request{Method: http.MethodGet, URL: u, Host: host, Header: make(http.Header)}
	if r.WriteProxy(&b) != nil {
		return "" // and neither can the request be sent
	}
	line, _, _ := strings.Cut(b.String(), " HTTP/1.1\r\n")
	return strings.TrimPrefix(line, "GET ")
}

// Host returns the host that a forwarded request goes to, as the proxy sees it, in lower
// case.
func Host(r *http.Request) string { return strings.ToLower(cmp.Or(r.Host, r.URL.Host)) }

// IsSafe reports whether the method is safe (RFC 9110, Section 9.2.1). The empty one is GET.
func IsSafe(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// IsReplayable reports whether net/http would send r again though it may have been read.
func IsReplayable(r *http.Request) bool {
	if HasBody(r) && r.GetBody == nil {
		return false
	}
	_, ok := r.Header["Idempotency-Key"]
	_, okX := r.Header["X-Idempotency-Key"]
	return IsSafe(r.Method) || ok || okX
}

// maxShortBody is the length up to which a body is risked before authentication is settled.
// After a 407 to a longer one squid says keep-alive and reads no further.
const maxShortBody = 64<<10 - 1

// IsLong reports whether r has a body of 64 KiB or more, or of unknown length.
func IsLong(r *http.Request) bool {
	return HasBody(r) && (r.ContentLength <= 0 || r.ContentLength > maxShortBody)
}

// Probe returns a request that asks the proxy for a challenge in place of r, or opens a
// handshake for it. It looks like r to the rules of proxies on URLs and agents, and has
// nothing else of it. It shares the URL and the User-Agent with r, which it does not
// change.
func Probe(ctx context.Context, r *http.Request) *http.Request {
	p := &http.Request{
		Method:     http.MethodGet,
		URL:        r.URL,
		Host:       r.Host,
		Header:     http.Header{"Proxy-Connection": {"keep-alive"}}, // squid 2
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
	}
	if agent, ok := r.Header["User-Agent"]; ok {
		p.Header["User-Agent"] = agent
	}
	return p.WithContext(ctx)
}

// ErrGarbage stands for an answer that is not HTTP. A peer may echo credentials in it.
var ErrGarbage = errors.New("proxyauth: the answer is not HTTP, or is broken off")

// HideEcho returns err, an error of net/http, or [ErrGarbage] if net/http may repeat in it
// what the peer sent; if that was TLS, [proxyconn.ErrTLSAnswer]. An error of the network, a
// timeout among them, stays as it is.
func HideEcho(err error) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e.(type) {
		case net.Error, *net.OpError, *url.Error:
			return err
		}
	}
	text := err.Error()
	if strings.Contains(text, `malformed HTTP response "\x15\x03`) { // an alert (RFC 8446, Section 5.1)
		return proxyconn.ErrTLSAnswer
	}
	if strings.Contains(text, "malformed") || strings.Contains(text, "bad ") || strings.ContainsAny(text, `"`) {
		return ErrGarbage
	}
	return err
}

// WantsTLS reports whether page, of a 400, says that the server speaks TLS: in the words of
// nginx, Apache and net/http.
func WantsTLS(page []byte) bool {
	for _, words := range []string{"HTTP request was sent to HTTPS port", "plain HTTP to an SSL-enabled server port", "HTTP request to an HTTPS server"} {
		if bytes.Contains(page, []byte(words)) {
			return true
		}
	}
	return false
}

// HideTrailer keeps a malformed trailer of resp out of the errors of its body.
func HideTrailer(resp *http.Response) {
	if len(resp.TransferEncoding) > 0 && isReadOnly(resp) {
		resp.Body = echoHidingBody{resp.Body}
	}
}

// isReadOnly reports whether resp has a body to be read, that may be wrapped: it is not a
// connection, as after a 101, nor http.NoBody, which programs may look for.
func isReadOnly(resp *http.Response) bool {
	_, ok := resp.Body.(io.Writer)
	return !ok && resp.Body != http.NoBody
}

// An echoHidingBody is a body whose errors don't repeat what the peer sent.
type echoHidingBody struct{ io.ReadCloser }

func (b echoHidingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = HideEcho(err)
	}
	return n, err
}
