package doctor

import (
	"net"
	"net/url"
	"strings"
)

// whyBypassed returns why the target takes no proxy, though the variable names one.
func whyBypassed(target *url.URL) string {
	for entry := range strings.SplitSeq(noProxy(), ",") {
		if entry = strings.TrimSpace(entry); bypasses(entry, target) {
			return "the entry " + printable(entry) + " of NO_PROXY matches"
		}
	}
	return "net/http uses none for this machine itself (localhost)"
}

// bypasses reports whether an entry of NO_PROXY matches the target, as net/http sees it. (The
// package that net/http has for this tells whether one matches, and not which.)
func bypasses(entry string, target *url.URL) bool {
	entry = strings.ToLower(entry)
	host := strings.ToLower(target.Hostname())
	ip := net.ParseIP(host)
	if _, network, err := net.ParseCIDR(entry); err == nil {
		return ip != nil && network.Contains(ip)
	}
	name, port, err := net.SplitHostPort(entry)
	if err != nil {
		name, port = strings.Trim(entry, "[]"), ""
	}
	switch {
	case entry == "*":
		return true
	case name == "", port != "" && port != portOf(target):
		return false
	case net.ParseIP(name) != nil:
		return net.ParseIP(name).Equal(ip)
	}
	name = strings.TrimPrefix(name, "*")
	if below, ok := strings.CutPrefix(name, "."); ok {
		return strings.HasSuffix(host, "."+below)
	}
	return host == name || strings.HasSuffix(host, "."+name)
}
