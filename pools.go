package proxyauth

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// A poolKind names one of the connection pools that a proxy has. They are apart
// because their connections are not alike.
type poolKind int

const (
	// tunnelPool holds tunnels to origin servers.
	tunnelPool poolKind = iota

	// requestPool holds connections on which each request is authenticated on
	// its own, or not at all.
	requestPool

	// boundPool holds connections that authenticate themselves as they are
	// made.
	boundPool

	// callerPool holds the connections of requests to which the caller has put
	// a Proxy-Authorization of its own, which may bind them to another user.
	callerPool

	numPools
)

// pools are the connection pools of one proxy, each made when it is first used.
type pools struct {
	proxy *proxy
	mu    sync.Mutex
	made  [numPools]*http.Transport
}

func (ps *pools) get(kind poolKind) *http.Transport {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.made[kind] == nil {
		ps.made[kind] = ps.proxy.newPool(kind)
	}
	return ps.made[kind]
}

func (ps *pools) closeIdle() {
	ps.mu.Lock()
	made := ps.made
	ps.mu.Unlock()
	for _, t := range made {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}

// newPool returns a clone of Base that reaches only the proxy.
func (p *proxy) newPool(kind poolKind) *http.Transport {
	t := p.base.Clone()
	t.Dial, t.DialTLS, t.DialTLSContext = nil, nil, nil
	t.OnProxyConnectResponse, t.GetProxyConnectHeader, t.ProxyConnectHeader = nil, nil, nil
	if kind == tunnelPool {
		t.Proxy = nil
		t.ForceAttemptHTTP2 = wantsHTTP2(p.base, t)
		t.DialContext = p.dialTunnel
		return t
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, _, err := p.dial(ctx)
		return conn, err
	}
	if kind == boundPool {
		dial = p.dialBound
	}
	// To net/http the proxy is a plain one, whatever it is spoken to with.
	t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.url.Host})
	t.DialContext = dial
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return t
}

// wantsHTTP2 reports whether base would speak HTTP/2 to an origin server through
// a proxy. The clone's dial function would switch it off (net/http.Transport,
// ForceAttemptHTTP2).
func wantsHTTP2(base, clone *http.Transport) bool {
	if base.ForceAttemptHTTP2 || base.Protocols != nil || clone.TLSNextProto != nil {
		return base.ForceAttemptHTTP2
	}
	return base.TLSClientConfig == nil && base.Dial == nil && base.DialContext == nil &&
		base.DialTLS == nil && base.DialTLSContext == nil
}
