package testproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// Config says how a [Proxy] behaves. Its zero value is a plain proxy on
// loopback that lets everybody through.
type Config struct {
	// Auth holds what the proxy offers, in the order of its Proxy-Authenticate
	// lines. If it is empty, no authentication is needed.
	Auth []Mechanism

	// Anonymous reports whether a request-target needs no authentication. Nil
	// means that all do.
	Anonymous func(target string) bool

	// Fault makes the proxy misbehave. Nil means that it doesn't. See
	// [Proxy.SetFault].
	Fault Fault

	// ConnFault decides what becomes of a new connection, given its number. Nil
	// means that each is served.
	ConnFault func(conn int) ConnAction

	// RefusedBody says how the proxy treats the body of a request that it
	// answers itself. Zero means [ReadThenAnswer].
	RefusedBody BodyPolicy

	// Rebind makes the proxy look at a Proxy-Authorization on an authenticated
	// connection, as Apache does: the connection then belongs to the user it
	// proves, or to nobody if it proves none. Otherwise it is ignored, as by
	// squid. Either way it is a violation.
	Rebind bool

	// BareConnect keeps the headers of a mechanism off a successful answer to
	// CONNECT, as squid and Apache do.
	BareConnect bool

	// ConnectHeader names header fields that a CONNECT may have without
	// violation, besides those that every CONNECT has.
	ConnectHeader []string

	// TLS makes it an https:// proxy. Its first certificate is the one that
	// [Conn.Certificate] returns.
	TLS *tls.Config

	// Network is where the proxy listens and dials. Nil means the real one,
	// where it listens on loopback.
	Network *Network

	// Addr is the address to listen on. Empty means a free port of 127.0.0.1
	// or, in a Network, proxy.example.com:3128.
	Addr string

	// Hosts maps a target's host:port to the address to dial instead, so that
	// origins on loopback can have names.
	Hosts map[string]string

	// Dial dials a target, after Hosts. Nil means Network, or the real one.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// NoRecord keeps legs and closed connections off the record, for
	// benchmarks.
	NoRecord bool
}

// A TB is what the package needs of a testing.TB.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// A Proxy is a running proxy. Its methods may be called at any time, from any
// goroutine.
type Proxy struct {
	config    Config
	transport *http.Transport
	tls       *tls.Config
	record    recorder
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	addr      string
	auth      []Mechanism
	fault     Fault
	listeners []net.Listener
	conns     map[*Conn]struct{}
	accepted  int
}

// Start runs a proxy until the test ends.
func Start(tb TB, config Config) *Proxy {
	tb.Helper()
	p, err := Open(config)
	if err != nil {
		tb.Fatalf("testproxy: %v", err)
	}
	tb.Cleanup(func() { p.Close() })
	return p
}

// Open listens as config says and serves in the background until
// [Proxy.Close].
func Open(config Config) (*Proxy, error) {
	ln, err := listen(config.Network, config.Addr, "proxy.example.com:3128")
	if err != nil {
		return nil, err
	}
	p := New(config)
	p.adopt(ln)
	p.wg.Go(func() { p.accept(ln) })
	return p, nil
}

// New returns a proxy that is yet to [Proxy.Serve].
func New(config Config) *Proxy {
	p := &Proxy{
		config: config,
		auth:   slices.Clone(config.Auth),
		fault:  config.Fault,
		conns:  make(map[*Conn]struct{}),
	}
	p.record.off = config.NoRecord
	p.tls = p.recordingTLS(config.TLS)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.transport = &http.Transport{
		DialContext:         p.dial,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
	}
	return p
}

// Serve accepts connections on ln, which it closes in the end. It returns nil
// after [Proxy.Close].
func (p *Proxy) Serve(ln net.Listener) error {
	if !p.adopt(ln) {
		ln.Close()
		return net.ErrClosed
	}
	err := p.accept(ln)
	if p.ctx.Err() != nil {
		return nil
	}
	return err
}

// Close ends all listeners, connections and tunnels and waits for their
// goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	listeners := p.listeners
	p.listeners = nil
	p.mu.Unlock()
	p.cancel()
	for _, ln := range listeners {
		ln.Close()
	}
	p.Disconnect()
	p.wg.Wait()
	p.transport.CloseIdleConnections()
	return nil
}

// Disconnect closes every connection to a client, as a proxy does that is
// restarted.
func (p *Proxy) Disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.raw.Close()
		if c.target != nil {
			c.target.Close()
		}
	}
}

// SetFault replaces [Config.Fault] for the legs that follow.
func (p *Proxy) SetFault(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// SetAuth replaces [Config.Auth] for the legs that follow.
func (p *Proxy) SetAuth(auth ...Mechanism) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.auth = slices.Clone(auth)
}

// Addr returns the address that the proxy listens on.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// URL returns a new URL of the proxy, without user info.
func (p *Proxy) URL() *url.URL {
	scheme := "http"
	if p.config.TLS != nil {
		scheme = "https"
	}
	return &url.URL{Scheme: scheme, Host: p.Addr()}
}

func (p *Proxy) adopt(ln net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.listeners = append(p.listeners, ln)
	p.addr = ln.Addr().String()
	return true
}

func (p *Proxy) accept(ln net.Listener) error {
	defer ln.Close()
	for {
		raw, err := ln.Accept()
		if err != nil {
			return err
		}
		p.serveConn(raw)
	}
}

func (p *Proxy) current() ([]Mechanism, Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.auth, p.fault
}

func (p *Proxy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	addr = cmp.Or(p.config.Hosts[addr], addr)
	switch {
	case p.config.Dial != nil:
		return p.config.Dial(ctx, network, addr)
	case p.config.Network != nil:
		return p.config.Network.DialContext(ctx, network, addr)
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// listen listens on addr, or on the name given where there is a network.
func listen(network *Network, addr, name string) (net.Listener, error) {
	if network != nil {
		return network.Listen(cmp.Or(addr, name))
	}
	ln, err := net.Listen("tcp", cmp.Or(addr, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return ln, nil
}
