package proxyauth

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// tokenLife is how long the closing authorization of a handshake may wait for
// the request that carries it. Proxies give up on a handshake after a minute or
// two, and a Kerberos authenticator has a time.
const tokenLife = 30 * time.Second

// maxBoundHead bounds the header of the first answer on a connection.
const maxBoundHead = 256 << 10

// A boundConn is a connection for forwarded requests that authenticates itself.
// It puts the closing authorization into the first request, and looks at the
// first answer and at every 407: those end the use of the connection.
type boundConn struct {
	net.Conn
	ctx     context.Context
	opening *opening // until the first answer
	flight  *flight  // held until the first answer, or nil
	expiry  *time.Timer

	mu       sync.Mutex
	pending  string      // the closing authorization; guarded by mu
	opened   atomic.Bool // pending has been sent
	awaiting atomic.Bool // something has been written since the last read

	used   bool   // an answer has come over it before it was handed on
	judged bool   // the first answer has been seen
	buf    []byte // read from Conn, not returned yet
}

func newBoundConn(ctx context.Context, o *opening, auth string) *boundConn {
	c := &boundConn{
		Conn:    o.wire.raw(),
		ctx:     context.WithoutCancel(ctx),
		opening: o,
		flight:  o.flight,
		pending: auth,
	}
	c.used = o.wire.used
	kept := *o
	kept.wire, kept.flight = nil, nil
	c.opening = &kept
	if c.flight != nil {
		c.flight.landWithin(patience)
	}
	c.expiry = time.AfterFunc(tokenLife, c.expire)
	return c
}

// scheme returns the scheme of the authorization that goes with the next request,
// empty if none does.
func (c *boundConn) scheme() string {
	if c.opened.Load() {
		return ""
	}
	return c.opening.method.scheme.Name()
}

// expire closes a connection whose authorization has waited too long.
func (c *boundConn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != "" {
		c.Close()
	}
}

func (c *boundConn) Close() error {
	c.land()
	return c.Conn.Close()
}

func (c *boundConn) land() {
	if c.flight != nil {
		c.flight.land()
	}
}

// Write splices the pending authorization in behind the first request line.
func (c *boundConn) Write(b []byte) (int, error) {
	c.awaiting.Store(true)
	if c.opened.Load() {
		return c.Conn.Write(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	eol := bytes.IndexByte(b, '\n') + 1
	if eol == 0 || c.pending == "" {
		return c.Conn.Write(b)
	}
	line := authorizationField + ": " + c.pending + "\r\n"
	c.expiry.Stop()
	c.pending = ""
	c.opened.Store(true)
	n, err := c.Conn.Write(bytes.Join([][]byte{b[:eol], []byte(line), b[eol:]}, nil))
	return min(n, max(eol, n-len(line))), err
}

// ReadFrom lets a file be sent by the system, as without the boundConn.
func (c *boundConn) ReadFrom(r io.Reader) (int64, error) {
	if !c.opened.Load() {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	c.awaiting.Store(true)
	return io.Copy(c.Conn, r)
}

// Read returns what the proxy sends, having examined the head of an answer
// where that is called for.
func (c *boundConn) Read(b []byte) (int, error) {
	if len(c.buf) > 0 {
		n := copy(b, c.buf)
		c.buf = c.buf[n:]
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	if awaiting := c.awaiting.Swap(false); c.judged && !(awaiting && is407(b[:n])) {
		return n, err
	}
	if c.buf, err = c.examine(bytes.Clone(b[:n]), err); err != nil {
		c.Close()
		return 0, err
	}
	n = copy(b, c.buf)
	c.buf = c.buf[n:]
	return n, nil
}

func is407(b []byte) bool {
	const line = "HTTP/1.x 407"
	return len(b) >= len(line) && string(b[:7]) == line[:7] && string(b[8:12]) == line[8:]
}

// examine reads on until the head of the answer that begins with data is
// complete, judges it, and returns the bytes to pass on.
func (c *boundConn) examine(data []byte, err error) ([]byte, error) {
	start := 0
	for {
		end := headEnd(data[start:])
		for end < 0 && err == nil && len(data) < maxBoundHead {
			more := make([]byte, 4<<10)
			var n int
			n, err = c.Conn.Read(more)
			data = append(data, more[:n]...)
			end = headEnd(data[start:])
		}
		if end < 0 {
			return data, c.unfinished(data, err)
		}
		head := data[start : start+end]
		resp, parseErr := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
		if parseErr != nil {
			c.land()
			c.judged = true
			return data, nil // net/http says what is wrong with it
		}
		if resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols {
			start += end
			continue
		}
		return c.judge(data, start, resp)
	}
}

// headEnd returns the length of the head that data begins with, -1 if it is not
// complete.
func headEnd(data []byte) int {
	if i := bytes.Index(data, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	if i := bytes.Index(data, []byte("\n\n")); i >= 0 {
		return i + 2
	}
	return -1
}

// unfinished takes an answer whose head does not end: what is missing is nothing
// to net/http but a broken connection.
func (c *boundConn) unfinished(data []byte, err error) error {
	c.land()
	c.judged = true
	if err == nil {
		return errHeadTooLong
	}
	if len(data) == 0 {
		return err
	}
	return io.ErrUnexpectedEOF
}

var errHeadTooLong = errors.New("proxyauth: header of the answer is too long")

// judge takes the final answer whose head begins at data[start].
func (c *boundConn) judge(data []byte, start int, resp *http.Response) ([]byte, error) {
	first := !c.judged
	c.judged = true
	refused := resp.StatusCode == http.StatusProxyAuthRequired
	if first {
		defer c.land()
		ctx, cancel := c.opening.p.withTimeout(c.ctx)
		defer cancel()
		if !refused {
			return data, c.opening.accepted(ctx, resp, true)
		}
		// What is to be done about it is decided where the request is.
		_ = c.opening.challenged(ctx, resp)
	}
	if !refused {
		return data, nil
	}
	// Nothing more can be done on this connection: net/http is not to use it
	// again.
	eol := start + bytes.IndexByte(data[start:], '\n') + 1
	return slices.Concat(data[:eol], []byte("Connection: close\r\n"), data[eol:]), nil
}
