package proxyconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// An earlyConn is a connection of which the first bytes have been read already.
type earlyConn struct {
	net.Conn

	mu       sync.Mutex // guards the fields below
	early    []byte
	deadline time.Time // for Read
	closed   bool
}

// A closeWriter can be closed for writing alone.
type closeWriter interface{ CloseWrite() error }

// An earlyHalfConn is an earlyConn with the CloseWrite of the connection below.
type earlyHalfConn struct {
	*earlyConn
	closeWriter
}

// withEarly returns conn with early before what is to be read from it. It has a
// CloseWrite method if conn has one.
func withEarly(conn net.Conn, early []byte) net.Conn {
	c := &earlyConn{Conn: conn, early: early}
	if half, ok := conn.(closeWriter); ok {
		return &earlyHalfConn{c, half}
	}
	return c
}

func (c *earlyConn) Read(b []byte) (int, error) {
	if n, err, ok := c.readEarly(b); ok {
		return n, err
	}
	return c.Conn.Read(b)
}

// readEarly answers a Read as long as there are early bytes. It is then not left to
// the connection to tell a deadline or Close: it may return later bytes instead.
func (c *earlyConn) readEarly(b []byte) (n int, err error, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.early) == 0:
		return 0, nil, false
	case c.closed:
		return 0, net.ErrClosed, true
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return 0, os.ErrDeadlineExceeded, true
	}
	n = copy(b, c.early)
	c.early = c.early[n:]
	return n, nil, true
}

// ReadFrom lets the system send a file, as the connection itself does.
func (c *earlyConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

func (c *earlyConn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, c.Conn.SetDeadline)
}

func (c *earlyConn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(t, c.Conn.SetReadDeadline)
}

func (c *earlyConn) setDeadline(t time.Time, set func(time.Time) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := set(t)
	if err == nil {
		c.deadline = t
	}
	return err
}

func (c *earlyConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.Conn.Close()
}
