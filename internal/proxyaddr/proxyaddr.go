// Package proxyaddr brings the URLs of proxies into one form, and says what the environment's
// variables make of them.
package proxyaddr

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// Canonical returns a URL with nothing but scheme and host, the latter in lower case and
// with a port.
func Canonical(scheme, host string) *url.URL {
	u := &url.URL{Scheme: scheme, Host: strings.ToLower(host)}
	if u.Port() == "" {
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u
}

// Site returns host and port of a canonical URL in the one spelling that stands for all of
// them.
func Site(u *url.URL) string {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	// Package net reads a port with leading zeros, too.
	address := net.JoinHostPort(host, strings.TrimLeft(u.Port(), "0"))
	if ascii, err := proxyconn.ConnectTarget(address); err == nil {
		return ascii
	}
	return address
}

// IsMisread reports whether u comes from a text with a character in its user info that
// package url does not take: net/http then reads it anew behind "http://". It is also
// misread if what looks like a host and port ends at the first character of a password that
// should have been percent-encoded: the rest of it, and the @, stand behind.
func IsMisread(u *url.URL) bool {
	return (u.Host == "http:" || u.Host == "https:") && strings.HasPrefix(u.Path, "//") ||
		u.User == nil && strings.Contains(u.Path+u.RawQuery+u.Fragment, "@")
}
