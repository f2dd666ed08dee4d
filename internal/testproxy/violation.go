package testproxy

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// connectHeader holds the fields that a CONNECT may have. Everything else is
// the origin's, or the caller's.
var connectHeader = []string{
	"Host", "User-Agent", "Proxy-Authorization", "Proxy-Connection", "Connection",
}

// originHeader holds the fields that an opening leg must not have.
var originHeader = []string{"Authorization", "Cookie"}

// maxViolations bounds what is kept, lest a benchmark fill the memory.
const maxViolations = 1000

func (c *Conn) violation(what string) {
	r := &c.proxy.record
	r.update(func() {
		if len(r.violations) < maxViolations {
			r.violations = append(r.violations, fmt.Sprintf("c%d: %s", c.number, what))
		}
	})
}

func (x *exchange) violation(what string) { x.c.violation(x.leg.Method + ": " + what) }

// broken records how the exchange ended.
func (x *exchange) broken(how string) {
	x.c.proxy.record.update(func() { x.leg.Broken = how })
}

// inspect notes what is wrong with a request that could be parsed.
func (x *exchange) inspect() {
	if hasControls(x.leg.Head) {
		x.violation("control characters or bare line ends in the head")
	}
	if len(x.leg.Header["Proxy-Authorization"]) > 1 {
		x.violation("more than one Proxy-Authorization")
	}
	if x.leg.Method == http.MethodConnect {
		x.inspectConnect()
	} else {
		x.inspectForward()
	}
}

// hasControls reports whether head has a line that does not end in CRLF, or
// control characters.
func hasControls(head string) bool {
	for line := range strings.Lines(head) {
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || strings.ContainsFunc(text, isControl) {
			return true
		}
	}
	return false
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func (x *exchange) inspectConnect() {
	for _, name := range slices.Sorted(maps.Keys(x.leg.Header)) {
		if !slices.Contains(connectHeader, name) && !slices.ContainsFunc(x.c.proxy.config.ConnectHeader,
			func(allowed string) bool { return strings.EqualFold(allowed, name) }) {
			x.violation("header " + name)
		}
	}
	if host, port, err := net.SplitHostPort(x.leg.Target); err != nil || host == "" || port == "" {
		x.violation("target is not host:port")
	}
	if !slices.Equal(x.leg.Header["Host"], []string{x.leg.Target}) {
		x.violation("Host is not the target")
	}
	if x.body != nil {
		x.violation("body")
	}
}

func (x *exchange) inspectForward() {
	target, err := url.Parse(x.leg.Target)
	if err != nil || target.Host == "" {
		x.violation("target is not an absolute URI")
		return
	}
	if target.Scheme != "http" {
		x.violation("target's scheme is not http")
	}
	if target.User != nil {
		x.violation("user info in the target")
	}
	if !slices.Equal(x.leg.Header["Host"], []string{target.Host}) {
		x.violation("Host is not the target's")
	}
}

// inspectOpening notes what must not be in a leg that a handshake goes on from.
func (x *exchange) inspectOpening() {
	for _, name := range originHeader {
		if x.leg.Method != http.MethodConnect && x.leg.Header[name] != nil {
			x.violation("header " + name + " on an opening leg")
		}
	}
}

// inspectTunnel looks at the first bytes that the client sends into a tunnel.
func (x *exchange) inspectTunnel(data []byte) {
	if bytes.Contains(bytes.ToLower(data), []byte("\nproxy-authorization:")) {
		x.violation("Proxy-Authorization inside the tunnel")
	}
}
