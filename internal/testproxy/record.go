package testproxy

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A Leg is one request and its answer.
type Leg struct {
	// Conn is the number of the connection, and Number that of the leg on it,
	// both counted from 1.
	Conn, Number int

	// Method, Target and Proto are those of the request line.
	Method, Target, Proto string

	// Header is the request's, Host among it. Head is all of it as it came.
	Header http.Header
	Head   string

	// Scheme is the auth-scheme of Proxy-Authorization as spelled, empty
	// without one.
	Scheme string

	// User is whom the proxy took the request for, empty if nobody.
	User string

	// Status is the answer's, from the moment when it is about to be sent. It
	// is zero as long as there is none.
	Status int

	// Broken says how the exchange ended if not well: "dropped", "stalled",
	// "raw" (the answer was not HTTP), "cut off" (the client's body was).
	Broken string

	// BodyBytes counts what was read of the request's body.
	BodyBytes int64
}

// String returns the leg in the form of [Proxy.Transcript].
func (l *Leg) String() string {
	words := []string{fmt.Sprintf("c%d", l.Conn), l.Method, l.Target, l.Scheme, "->", l.outcome()}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func (l *Leg) outcome() string {
	if l.Status != 0 {
		return fmt.Sprint(l.Status)
	}
	return cmp.Or(l.Broken, "pending")
}

// A ConnRecord is what is known of a connection.
type ConnRecord struct {
	// Number is the connection's, counted from 1.
	Number int

	// Legs counts the requests on it.
	Legs int

	// User is whom it is authenticated for, if it is.
	User string

	// Tunnel is the target of the tunnel that it has become, if it has, and
	// Sent and Received count what the client sent through it and received,
	// once the tunnel is closed.
	Tunnel         string
	Sent, Received int64

	// ALPN holds the protocols that the client offered in TLS, and TLS is the
	// state of the connection after the handshake. Both are nil without one.
	ALPN []string
	TLS  *tls.ConnectionState

	// Open says that it is not closed.
	Open bool
}

// A recorder holds what the proxy has seen. Legs and ConnRecords are changed
// only by update.
type recorder struct {
	mu         sync.Mutex
	off        bool
	legs       []*Leg
	conns      []*ConnRecord
	violations []string
}

func (r *recorder) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *recorder) snapshot(leg *Leg) Leg {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *leg
}

func (r *recorder) open(number int) *ConnRecord {
	c := &ConnRecord{Number: number, Open: true}
	r.update(func() { r.conns = append(r.conns, c) })
	return c
}

func (r *recorder) closed(c *ConnRecord) {
	r.update(func() {
		c.Open = false
		if r.off {
			r.conns = slices.DeleteFunc(r.conns, func(other *ConnRecord) bool { return other == c })
		}
	})
}

func (r *recorder) add(leg *Leg, c *ConnRecord) {
	r.update(func() {
		c.Legs++
		if !r.off {
			r.legs = append(r.legs, leg)
		}
	})
}

// Legs returns the legs since the last [Proxy.Reset] in the order in which they
// began.
func (p *Proxy) Legs() []Leg {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	legs := make([]Leg, len(p.record.legs))
	for i, leg := range p.record.legs {
		legs[i] = *leg
		legs[i].Header = leg.Header.Clone()
	}
	return legs
}

// Conns returns the connections since the last [Proxy.Reset], and the ones that
// were open then.
func (p *Proxy) Conns() []ConnRecord {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	conns := make([]ConnRecord, len(p.record.conns))
	for i, c := range p.record.conns {
		conns[i] = *c
	}
	return conns
}

// Violations returns what no client should do, such as a Cookie in a CONNECT.
// It quotes nothing secret.
func (p *Proxy) Violations() []string {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	return slices.Clone(p.record.violations)
}

// Transcript returns the legs as lines such as
//
//	c1 GET http://origin.example.com/ Digest -> 200
//
// with the connection's number, the request line, the scheme of
// Proxy-Authorization if there is one, and the status. In its place stands
// "dropped", "stalled", "raw" or "cut off" (see [Leg]) where there was no answer,
// and "pending" where there is none yet.
func (p *Proxy) Transcript() []string {
	legs := p.Legs()
	lines := make([]string, len(legs))
	for i := range legs {
		lines[i] = legs[i].String()
	}
	return lines
}

// Reset forgets all legs, closed connections and violations. Connections keep
// their numbers.
func (p *Proxy) Reset() {
	p.record.update(func() {
		p.record.legs = nil
		p.record.violations = nil
		p.record.conns = slices.DeleteFunc(p.record.conns, func(c *ConnRecord) bool { return !c.Open })
	})
}
