package proxyauth

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/url"
)

const (
	ProofLife    = proofLife
	MaxBoundHead = maxBoundHead
)

// A BoundConn is a connection that authenticates itself, without a Transport that
// uses it.
type BoundConn struct {
	net.Conn
	p *proxy
	m *method
}

// NewBoundConn returns what an opening with scheme leaves behind on conn: auth is
// to go with the first request. If leading is set, it has the flight.
func NewBoundConn(conn net.Conn, scheme Scheme, s Session, auth string, leading bool) *BoundConn {
	t := &Transport{Base: &http.Transport{}, Schemes: []Scheme{scheme}}
	state, err := t.use()
	if err != nil {
		panic(err)
	}
	p := newProxy(state, keyOf(&url.URL{Scheme: "http", Host: "proxy.example.com:3128"}))
	m := &method{scheme: scheme, habit: &p.habits[0], creds: Credentials{Username: "ann", Password: NewSecret("s3cret")}}
	m.print = state.refused.fingerprint(p.name, m.creds)
	p.choose(m)
	o := opening{dialogue{attempt: attempt{p: p, op: opForward, onConn: true, single: true, method: m, session: &session{Session: s, scheme: scheme}, sent: true}}}
	o.wire = &wire{Conn: conn, br: bufio.NewReader(conn)}
	if leading {
		o.flight, _ = p.takeOff(context.Background(), false)
	} else {
		p.prove(context.Background(), m)
	}
	return &BoundConn{newBoundConn(context.Background(), &o, auth), p, m}
}

// Proved reports whether the proxy has accepted the credentials.
func (c *BoundConn) Proved() bool { return c.p.accepts(c.m) }

// Refused reports whether it has refused them.
func (c *BoundConn) Refused() bool { return c.p.refused.has(c.m.print) }

// Refuse does what another connection does whose credentials are refused.
func (c *BoundConn) Refuse() { c.p.refuse(context.Background(), c.m) }

// Landed reports whether another may have the flight.
func (c *BoundConn) Landed() bool { return len(c.p.flight) == 0 }
