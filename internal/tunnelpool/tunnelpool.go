// Package tunnelpool makes Transports that reach origin servers through tunnels.
package tunnelpool

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// A Pool is a Transport whose connections go through tunnels of one user. It is made by
// [New], and may be used by several goroutines.
type Pool struct {
	*http.Transport
	retired atomic.Bool
}

// New returns a Pool with the settings of base, which it does not change but for what net/http
// sets up at first use. Its connections come from dial. It speaks HTTP/2 if base does.
func New(base *http.Transport, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Pool {
	t := base.Clone()
	t.Proxy = nil
	t.Dial, t.DialTLS, t.DialTLSContext = nil, nil, nil //lint:ignore SA1019 they keep working in Base
	t.OnProxyConnectResponse, t.GetProxyConnectHeader, t.ProxyConnectHeader = nil, nil, nil
	// A dial function switches HTTP/2 off, unless this is set.
	t.ForceAttemptHTTP2 = base.TLSNextProto["h2"] != nil
	if t.TLSNextProto["h2"] != nil {
		// Of golang.org/x/net/http2: clones share its connections, so that one
		// identity's tunnel would serve another.
		t.TLSNextProto = nil
	}
	t.DialContext = dial
	return &Pool{Transport: t}
}

// Retire closes the tunnels that are idle, and the others after their last request.
func (p *Pool) Retire() {
	p.retired.Store(true)
	p.CloseIdleConnections()
}

// Used is called after each request. A retired Pool then closes what net/http has kept. An
// HTTP/2 connection whose last answer is still being read is left to [Set.CloseIdle] and
// IdleConnTimeout.
func (p *Pool) Used() {
	if p.retired.Load() {
		p.CloseIdleConnections() // net/http has kept idle ones again
	}
}

// A Set is the Pools that have been made and have connections, those that are retired,
// too: net/http closes an HTTP/2 connection that was in use when it was told, or being
// made, only when it is told again. It keeps no Pool from being collected. The zero value is empty. A
// Set may be used by several goroutines.
type Set struct {
	mu   sync.Mutex
	made []weak.Pointer[http.Transport] // which connections hold on to
}

// Add adds a Pool.
func (s *Set) Add(p *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) == cap(s.made) {
		s.made = slices.DeleteFunc(s.made, func(w weak.Pointer[http.Transport]) bool { return w.Value() == nil })
	}
	s.made = append(s.made, weak.Make(p.Transport))
}

// CloseIdle closes the tunnels that are not in use.
func (s *Set) CloseIdle() {
	s.mu.Lock()
	made := slices.Clone(s.made)
	s.mu.Unlock()
	for _, w := range made {
		if t := w.Value(); t != nil {
			t.CloseIdleConnections()
		}
	}
}
