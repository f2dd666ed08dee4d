package proxyauth

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// A guardedConn is a connection for forwarded requests that is not used again
// after a 407 to a request with a body that may be still on its way. squid says
// keep-alive, and reads no further. To close the connection when the answer has
// come would be too late: net/http may have given it to another request.
type guardedConn struct {
	net.Conn
	guarded atomic.Bool // the request under way is such a one

	seen  []byte // of the answer, not passed on yet
	ready int    // how much of seen may be passed on
}

// maxGuarded bounds the status line of an answer, and the head of one that is
// informational, beyond which nothing is done to it.
const maxGuarded = 16 << 10

// guard returns a context for a request to be guarded.
func guard(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if c, ok := info.Conn.(*guardedConn); ok {
				c.guarded.Store(true)
			}
		},
	})
}

// ReadFrom lets a file be sent by the system, as without the guardedConn.
func (c *guardedConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// Read returns what the proxy sends, and adds to a 407 that the connection is
// closed.
func (c *guardedConn) Read(b []byte) (int, error) {
	for c.ready == 0 {
		n, err := c.Conn.Read(b)
		if len(c.seen) == 0 && !c.guarded.Load() {
			return n, err
		}
		c.seen = append(c.seen, b[:n]...)
		c.judge(err != nil)
		if err != nil && c.ready == 0 {
			return 0, err
		}
	}
	n := copy(b, c.seen[:c.ready])
	c.seen, c.ready = c.seen[n:], c.ready-n
	if c.ready == 0 {
		c.judge(false)
	}
	return n, nil
}

// judge finds out how much of what has been seen may be passed on. Informational
// answers are, one by one: the body may wait for them.
func (c *guardedConn) judge(last bool) {
	code, isHTTP := statusCode(c.seen)
	switch {
	case !c.guarded.Load() || last || len(c.seen) > maxGuarded:
	case isHTTP && len(code) < 3:
		return
	case string(code) == "407":
		if bytes.IndexByte(c.seen, '\n') < 0 {
			return
		}
		c.seen = endConnection(c.seen)
	case isHTTP && code[0] == '1' && string(code) != "101": // after which it is not HTTP any more
		c.ready = max(headEnd(c.seen), 0)
		return
	}
	c.guarded.Store(false)
	c.ready = len(c.seen)
}
