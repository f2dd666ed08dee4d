package proxyconn

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// ErrInvalidHost is the error for a host that can't be written into a request, or
// that is not a valid internationalized domain name.
var ErrInvalidHost = errors.New("host with characters that no host has")

// CheckHost returns ErrInvalidHost for a host, with or without a port, that is empty
// or has ASCII characters which net/http does not write into a request: controls,
// spaces, delimiters.
func CheckHost(host string) error {
	if host == "" || host[0] == ':' {
		return ErrInvalidHost
	}
	for i := range len(host) {
		if breaksHost[host[i]] {
			return ErrInvalidHost
		}
	}
	return nil
}

// breaksHost is a table, since each request's proxy is checked.
var breaksHost = func() (breaks [256]bool) {
	for c := range ' ' + 1 {
		breaks[c] = true
	}
	for _, c := range "\x7f\"/\\<>?#@^`{|}" {
		breaks[c] = true
	}
	return breaks
}()

// ConnectTarget returns addr, a host and port, as it stands in the request line of a
// CONNECT: a host outside ASCII is written in punycode, a zone of an IPv6 address is
// left out, as net/http does. The error is ErrInvalidHost.
func ConnectTarget(addr string) (string, error) {
	if err := CheckHost(addr); err != nil {
		return "", err
	}
	if !strings.ContainsFunc(addr, func(r rune) bool { return r >= 0x80 || r == '%' }) {
		return addr, nil
	}
	// The conversion of net/http is not exported. It stands in what it writes.
	var b bytes.Buffer
	req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Path: "/"}, Host: addr}
	if err := req.WriteProxy(&b); err != nil {
		return "", ErrInvalidHost
	}
	uri, _, _ := strings.Cut(b.String(), "/ HTTP/1.1\r\n")
	target := strings.TrimPrefix(uri, "GET http://")
	if err := CheckHost(target); err != nil {
		return "", err
	}
	if target[0] == '[' && strings.Contains(target, "%") { // a second zone
		return "", ErrInvalidHost
	}
	return target, nil
}
