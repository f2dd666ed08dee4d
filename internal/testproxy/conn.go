package testproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"time"
)

// A ConnAction says what becomes of a new connection.
type ConnAction int

// What may become of a new connection.
const (
	ServeConn ConnAction = iota // it is served
	DropConn                    // it is closed at once
	StallConn                   // nothing is ever answered on it, be it TLS or HTTP
)

// A Conn is a client's connection as a [Mechanism] sees it. Only the Verify and
// Challenge that it is passed to may use it, and only until they return.
type Conn struct {
	proxy  *Proxy
	raw    net.Conn // below TLS
	net    net.Conn
	target net.Conn // of the tunnel; with proxy.mu held
	r      *bufio.Reader
	w      *bufio.Writer
	number int
	legs   int
	user   string
	bound  bool
	reset  bool
	tls    *tls.ConnectionState
	state  map[any]any
	record *ConnRecord
}

// Number returns the connection's number, counted from 1.
func (c *Conn) Number() int { return c.number }

// User returns the user that the connection is authenticated for, if any.
func (c *Conn) User() string { return c.user }

// TLS returns the state of the TLS connection to the client, nil if there is
// none.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Certificate returns the proxy's certificate, which a channel binding of type
// tls-server-end-point is made of (RFC 5929, Section 4). It is nil without TLS.
func (c *Conn) Certificate() *x509.Certificate {
	config := c.proxy.config.TLS
	if config == nil || len(config.Certificates) == 0 {
		return nil
	}
	certificate := config.Certificates[0]
	if certificate.Leaf != nil {
		return certificate.Leaf
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// State returns what [Conn.SetState] has stored under key, nil if nothing.
func (c *Conn) State(key any) any { return c.state[key] }

// SetState stores what a mechanism has to know of the connection: how far its
// handshake is, say. Use a key of a type of your own, or the mechanism.
func (c *Conn) SetState(key, value any) { c.state[key] = value }

// serveConn serves a connection in the background, unless the proxy is closed.
func (p *Proxy) serveConn(raw net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		raw.Close()
		return
	}
	p.accepted++
	c := &Conn{proxy: p, raw: raw, number: p.accepted, state: make(map[any]any)}
	c.record = p.record.open(c.number)
	c.use(raw)
	p.conns[c] = struct{}{}
	p.wg.Go(c.serve)
}

func (c *Conn) use(conn net.Conn) {
	c.net = conn
	c.r = bufio.NewReader(conn)
	c.w = bufio.NewWriter(conn)
}

// leadsTo makes what closes the connection from outside close target as well.
func (c *Conn) leadsTo(target net.Conn) {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	c.target = target
	if c.proxy.closed {
		target.Close()
	}
}

func (c *Conn) serve() {
	defer c.close()
	if !c.receive() {
		return
	}
	for c.exchange() {
	}
}

// receive does what comes before the first request and reports whether there
// may be one.
func (c *Conn) receive() bool {
	switch c.fault() {
	case DropConn:
		return false
	case StallConn:
		c.hang()
		return false
	}
	return c.proxy.config.TLS == nil || c.handshake()
}

func (c *Conn) fault() ConnAction {
	if f := c.proxy.config.ConnFault; f != nil {
		return f(c.number)
	}
	return ServeConn
}

func (c *Conn) handshake() bool {
	conn := tls.Server(c.raw, c.proxy.tls)
	ctx := context.WithValue(c.proxy.ctx, connKey{}, c)
	if err := conn.HandshakeContext(ctx); err != nil {
		return false
	}
	state := conn.ConnectionState()
	c.tls = &state
	c.proxy.record.update(func() { c.record.TLS = &state })
	c.use(conn)
	if state.NegotiatedProtocol == "h2" {
		c.violation("h2 was negotiated with a proxy that speaks HTTP/1.1")
		return false
	}
	return true
}

// connKey is the context key of the *Conn that a TLS handshake belongs to.
type connKey struct{}

// recordingTLS returns config with a hook that records what clients offer. There
// is one for all connections, since it holds the keys of session tickets.
func (p *Proxy) recordingTLS(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	config = config.Clone()
	next := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if c, ok := hello.Context().Value(connKey{}).(*Conn); ok {
			p.record.update(func() { c.record.ALPN = hello.SupportedProtos })
		}
		if next == nil {
			return nil, nil
		}
		return next(hello)
	}
	return config
}

func (c *Conn) bind(user string) {
	c.user, c.bound = user, user != ""
	c.proxy.record.update(func() { c.record.User = user })
}

// hang reads and answers nothing until the client gives up.
func (c *Conn) hang() { io.Copy(io.Discard, c.r) }

// squidGivesUp is when squid 5.7 closes a connection that it has stopped to
// read from.
const squidGivesUp = 121 * time.Second

// playDead neither reads nor writes.
func (c *Conn) playDead() {
	timer := time.NewTimer(squidGivesUp)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.proxy.ctx.Done():
	}
}

func (c *Conn) close() {
	if l, ok := c.raw.(interface{ SetLinger(int) error }); ok && c.reset {
		l.SetLinger(0)
		c.raw.Close()
	}
	c.net.Close()
	p := c.proxy
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	p.record.closed(c.record)
}
