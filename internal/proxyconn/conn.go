// Package proxyconn is a connection to an HTTP proxy: it is dialled, with TLS where the
// proxy wants it, carries the legs of one CONNECT, and is handed over as a tunnel.
//
// It knows nothing of authentication. Nothing that a peer sends stands in an error.
package proxyconn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ErrUnusable is the error of [Conn.Connect] on a connection that is not reusable.
var ErrUnusable = errors.New("the connection to the proxy can't carry another CONNECT")

// A phase is what a Conn can be used for.
type phase int

const (
	ready phase = iota // for a leg
	open               // for a tunnel
	over               // for nothing: it is closed, or handed over
)

// A Conn is a connection to a proxy that carries the legs of a CONNECT. Its methods
// must not be called concurrently, except Close before Tunnel.
type Conn struct {
	conn     net.Conn
	tls      *tls.ConnectionState
	br       *bufio.Reader
	filling  chan error // the result of a read into br that has begun; nil if none
	phase    phase
	served   bool // an answer has come
	progress Progress
}

// Progress tells how far a leg came.
type Progress struct {
	Reused  bool // the connection had served before
	Written bool // at least one byte of the request was written
	Read    bool // at least one byte of an answer was read
}

// A Leg is one CONNECT and what its answer may be.
type Leg struct {
	// Target is a host and port. It is written as [ConnectTarget] returns it.
	Target string

	// Header is sent along, written as net/http does: without a User-Agent it sends
	// its own. Connect does not change it.
	Header http.Header

	// MaxHead bounds the bytes of the answer's header, that of informational answers
	// included. Zero means 10 MiB.
	MaxHead int64

	// Bound reports whether a refusal, of which only the header has been read, has a
	// challenge that is bound to this connection. If it has and a body without end,
	// the body is what comes before a pause of 100 ms, and the connection stays
	// reusable. Nil means that none is.
	Bound func(*http.Response) bool
}

// New returns a Conn that owns conn. The state is nil without TLS.
func New(conn net.Conn, state *tls.ConnectionState) *Conn {
	return &Conn{conn: conn, tls: state, br: bufio.NewReader(conn)}
}

// TLS returns the state of TLS to the proxy, nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Served reports whether an answer has come.
func (c *Conn) Served() bool { return c.served }

// Progress tells how far the last leg came.
func (c *Conn) Progress() Progress { return c.progress }

// Reusable reports whether the connection is good for another leg, as far as can be
// seen.
func (c *Conn) Reusable() bool {
	return c.phase == ready && len(c.filling) == 0
}

// Close closes the connection, unless it was handed over by Tunnel.
func (c *Conn) Close() error {
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// Tunnel hands the connection over after a 2xx: what was read behind the answer comes
// first. The Conn has nothing to do with it any more, and its Close does nothing. It
// is the connection as it was given to New if nothing was read; if not, it has a
// CloseWrite method where that has one. It is nil where the last answer was no 2xx.
func (c *Conn) Tunnel() net.Conn {
	if c.phase != open {
		return nil
	}
	conn := c.conn
	c.phase, c.conn = over, nil
	if c.br.Buffered() == 0 {
		return conn
	}
	early, _ := c.br.Peek(c.br.Buffered())
	return withEarly(conn, bytes.Clone(early))
}

// Connect sends one CONNECT and returns the final answer, whose Request is what was
// sent:
//
//   - A 2xx has no body, and its Content-Length and Transfer-Encoding are removed,
//     whatever they say (RFC 9110, Section 9.3.6). Tunnel is next.
//   - The body of any other answer is in memory, up to 256 KiB of it, read for 5 s at
//     most. Reading it ends with io.ErrUnexpectedEOF where that is not all. A body
//     without length is what came along with the header, unless leg.Bound says more.
//     Reusable tells whether another leg can follow; if not, the connection has been
//     closed.
//   - After an error the connection has been closed, and Progress tells how far the
//     leg came. The error is [ErrNotHTTP], [ErrHeadTooLong], [ErrInformational], the
//     cause of the end of ctx, or that of the connection. Only if the leg itself
//     can't be written, as for [ErrInvalidHost], the connection stays as it was.
//
// The end of ctx closes the connection. It is no error if the header of a refusal has
// been read, since that tells what matters.
func (c *Conn) Connect(ctx context.Context, leg Leg) (*http.Response, error) {
	c.progress = Progress{Reused: c.served}
	if c.phase != ready {
		return nil, ErrUnusable
	}
	req, data, err := leg.request()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		c.end()
		return nil, context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, c.abort)
	resp, err := c.exchange(leg, req, data)
	ended := !stop()
	if ended && (err != nil || c.phase == open) {
		resp, err = nil, context.Cause(ctx)
	}
	if ended || err != nil {
		c.end()
	}
	return resp, err
}

// end makes the connection useless. It does not wait for anything.
func (c *Conn) end() {
	c.phase = over
	c.abort()
}

// abort closes the connection without waiting: Close of a *tls.Conn takes five seconds
// to say farewell to a peer that does not read.
func (c *Conn) abort() {
	if t, ok := c.conn.(*tls.Conn); ok {
		t.NetConn().Close()
		return
	}
	c.conn.Close()
}

// request returns the CONNECT, also as it is written.
func (l *Leg) request() (*http.Request, []byte, error) {
	for name, values := range l.Header {
		if hasControls(name) || slices.ContainsFunc(values, hasControls) {
			return nil, nil, fmt.Errorf("control characters in field %q of the CONNECT", name)
		}
	}
	target, err := ConnectTarget(l.Target)
	if err != nil {
		return nil, nil, err
	}
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: target},
		Host:   target,
		Header: l.Header,
	}
	var b bytes.Buffer
	err = req.WriteProxy(&b)
	return req, b.Bytes(), err
}

// hasControls reports whether text would not survive in a header field.
func hasControls(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
