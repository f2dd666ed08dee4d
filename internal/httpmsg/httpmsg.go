// Package httpmsg has what a forwarded request, a probe in its place, their bodies and
// their errors look like. It knows nothing of authentication. What does not say otherwise
// may be used by several goroutines.
package httpmsg

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
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
// what the peer sent. An error of the network, a timeout among them, stays as it is.
func HideEcho(err error) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e.(type) {
		case net.Error, *net.OpError, *url.Error:
			return err
		}
	}
	text := err.Error()
	if strings.Contains(text, "malformed") || strings.Contains(text, "bad ") || strings.ContainsAny(text, `"`) {
		return ErrGarbage
	}
	return err
}
