//lint:file-ignore SA1019 The deprecated hooks of the program's Transport keep working.

package proxyauth

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// dialBase connects as base itself would.
func dialBase(base *http.Transport, ctx context.Context, network, addr string) (net.Conn, error) {
	var conn net.Conn
	var err error
	switch {
	case base.DialContext != nil:
		conn, err = base.DialContext(ctx, network, addr)
	case base.Dial != nil:
		conn, err = base.Dial(network, addr)
	default:
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
	}
	if conn == nil && err == nil {
		err = errors.New("proxyauth: Base's dial function returned (nil, nil)")
	}
	return conn, err
}

// dial connects to the proxy, with TLS if it is an https:// proxy. The error is
// an *Error.
func (p *proxy) dial(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
	ctx, cancel := p.withTimeout(ctx)
	defer cancel()
	conn, state, err := p.connect(ctx)
	if err != nil {
		return nil, nil, &Error{Cause: CauseProxyUnreachable, Op: opDial, Proxy: p.name, Err: err}
	}
	if state != nil {
		p.mu.Lock()
		p.lastTLS = state
		p.mu.Unlock()
	}
	return conn, state, nil
}

func (p *proxy) connect(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
	if p.url.Scheme != "https" {
		conn, err := dialBase(p.base, ctx, "tcp", p.url.Host)
		return conn, nil, err
	}
	if p.base.DialTLSContext != nil || p.base.DialTLS != nil {
		return p.connectTLSHook(ctx)
	}
	conn, err := dialBase(p.base, ctx, "tcp", p.url.Host)
	if err != nil {
		return nil, nil, err
	}
	cfg := p.proxyTLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = p.url.Hostname()
	}
	return p.handshake(ctx, tls.Client(conn, cfg))
}

func (p *proxy) connectTLSHook(ctx context.Context) (conn net.Conn, _ *tls.ConnectionState, err error) {
	if p.base.DialTLSContext != nil {
		conn, err = p.base.DialTLSContext(ctx, "tcp", p.url.Host)
	} else {
		conn, err = p.base.DialTLS("tcp", p.url.Host)
	}
	if conn == nil && err == nil {
		err = errors.New("proxyauth: Base's DialTLS function returned (nil, nil)")
	}
	if err != nil {
		return nil, nil, err
	}
	if c, ok := conn.(*tls.Conn); ok {
		return p.handshake(ctx, c)
	}
	return conn, nil, nil
}

func (p *proxy) handshake(ctx context.Context, conn *tls.Conn) (net.Conn, *tls.ConnectionState, error) {
	if d := p.base.TLSHandshakeTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, nil, err
	}
	state := conn.ConnectionState()
	return conn, &state, nil
}

// withTimeout limits ctx to one leg.
func (s *state) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, s.timeout)
}

// proxyTLSConfig returns the configuration of TLS to proxies: own, or what of
// base is not about origin servers. Sessions and trust are kept apart from the
// ones of origin servers (CVE-2021-22890).
func proxyTLSConfig(own, base *tls.Config) *tls.Config {
	cfg := new(tls.Config)
	switch {
	case own != nil:
		cfg = own.Clone()
	case base != nil:
		cfg = &tls.Config{
			Rand:             base.Rand,
			Time:             base.Time,
			RootCAs:          base.RootCAs,
			CipherSuites:     base.CipherSuites,
			MinVersion:       base.MinVersion,
			MaxVersion:       base.MaxVersion,
			CurvePreferences: base.CurvePreferences,
			KeyLogWriter:     base.KeyLogWriter,
		}
	}
	if cfg.ClientSessionCache == nil {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	// A proxy that picks HTTP/2 could not be spoken to (golang/go#26479).
	cfg.NextProtos = []string{"http/1.1"}
	return cfg
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

var errHost = errors.New("proxyauth: host with characters that no host has")

// checkHost refuses a host that would not survive a request line.
func checkHost(host string) error {
	if host == "" || host[0] == ':' || strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`"/\<>?#@^{|}`, r) || r == '`'
	}) {
		return errHost
	}
	return nil
}

var errIDN = errors.New("proxyauth: host is not a valid internationalized domain name")

// connectTarget returns addr as it stands in the request line of a CONNECT: a host
// outside ASCII is written in punycode, as net/http does.
func connectTarget(addr string) (string, error) {
	target := addr
	if strings.ContainsFunc(addr, func(r rune) bool { return r >= 0x80 }) {
		uri := writtenTarget(&url.URL{Scheme: "http", Host: addr}, addr)
		if uri == "" {
			return addr, errIDN
		}
		target = strings.TrimSuffix(strings.TrimPrefix(uri, "http://"), "/")
	}
	return target, checkHost(target)
}

// hasControls reports whether text would not survive in a header field.
func hasControls(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
