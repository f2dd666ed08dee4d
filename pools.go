//lint:file-ignore SA1019 The deprecated hooks of the program's Transport keep working.

package proxyauth

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"weak"
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
		ps.proxy.made.add(ps.made[kind])
	}
	return ps.made[kind]
}

// retire gives a pool up. What of its connections is in use serves to the end and
// is closed then; the next request gets a new pool.
func (ps *pools) retire(kind poolKind) {
	ps.mu.Lock()
	old := ps.made[kind]
	ps.made[kind] = nil
	ps.mu.Unlock()
	if old != nil {
		old.CloseIdleConnections()
	}
}

// has reports whether t is one of the pools, and not retired.
func (ps *pools) has(t *http.Transport) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return slices.Contains(ps.made[:], t)
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

// everyPool is all the pools that a Transport has made and that have connections:
// the ones that were given up or forgotten, too. net/http closes an HTTP/2
// connection that was in use then, or being made, only when it is told again.
type everyPool struct {
	mu    sync.Mutex
	pools []weak.Pointer[http.Transport] // which connections hold on to
}

func (e *everyPool) add(t *http.Transport) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.pools) == cap(e.pools) {
		e.pools = slices.DeleteFunc(e.pools, func(w weak.Pointer[http.Transport]) bool { return w.Value() == nil })
	}
	e.pools = append(e.pools, weak.Make(t))
}

func (e *everyPool) closeIdle() {
	e.mu.Lock()
	pools := slices.Clone(e.pools)
	e.mu.Unlock()
	for _, w := range pools {
		if t := w.Value(); t != nil {
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
		t.ForceAttemptHTTP2 = speaksHTTP2(p.base)
		if t.TLSNextProto["h2"] != nil {
			// Of golang.org/x/net/http2: clones share its connections, so
			// that one identity's tunnel would serve another.
			t.TLSNextProto = nil
		}
		t.DialContext = p.dialTunnel
		return t
	}
	dial := p.dialGuarded
	if kind == boundPool {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			if !p.pools.has(t) {
				// The request that is behind this has let net/http keep
				// idle connections again.
				t.CloseIdleConnections()
				return nil, &Error{Cause: CauseSchemeFailed, Op: opForward, Proxy: p.name, Err: errMethodChanged}
			}
			return p.dialBound(ctx)
		}
	}
	// To net/http the proxy is a plain one, whatever it is spoken to with.
	t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.url.Host})
	t.DialContext = dial
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return t
}

func (p *proxy) dialGuarded(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, _, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: conn}, nil
}

// speaksHTTP2 reports whether base speaks HTTP/2 to origin servers, which the dial
// function of a clone would switch off (net/http.Transport, ForceAttemptHTTP2).
// Base has been set up by net/http: it has been cloned.
func speaksHTTP2(base *http.Transport) bool { return base.TLSNextProto["h2"] != nil }
