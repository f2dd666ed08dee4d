package testproxy

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// maxInFlight is how much one end may write before the other reads.
const maxInFlight = 64 << 10

// A memConn is one end of a connection in a [Network]. It is like a
// *net.TCPConn: CloseWrite sends an end of file, what was sent before Close can
// still be read, and Close with data unread, or after SetLinger(0), resets.
type memConn struct {
	in, out       *stream
	local, remote net.Addr

	mu     sync.Mutex
	linger bool
	closed bool
}

func pipe(clientAddr, serverAddr net.Addr) (client, server *memConn) {
	up, down := newStream(), newStream()
	return &memConn{in: down, out: up, local: clientAddr, remote: serverAddr, linger: true},
		&memConn{in: up, out: down, local: serverAddr, remote: clientAddr, linger: true}
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

func (c *memConn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

func (c *memConn) CloseWrite() error { return c.wrap("close", c.out.end(nil)) }

// SetLinger with 0 makes Close reset the connection. Other values don't matter.
func (c *memConn) SetLinger(seconds int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linger = seconds != 0
	return nil
}

func (c *memConn) Close() error {
	c.mu.Lock()
	again, reset := c.closed, !c.linger
	c.closed = true
	c.mu.Unlock()
	if again {
		return c.wrap("close", net.ErrClosed)
	}
	unread := c.in.abandon()
	switch {
	case reset:
		c.out.reset(true)
	case unread:
		c.out.reset(false)
	default:
		c.out.end(net.ErrClosed)
	}
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.in.deadline(&c.in.reading, t)
	c.out.deadline(&c.out.writing, t)
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.deadline(&c.in.reading, t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.deadline(&c.out.writing, t)
	return nil
}

func (c *memConn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return opError(op, c.local, c.remote, err)
}

// A stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	cond    sync.Cond
	buf     bytes.Buffer
	readErr error // what a reader gets when buf is empty, nil to wait
	lost    error // what a reader gets at once
	sendErr error // what a writer gets, nil if it may write

	reading, writing timeout
}

// A timeout is a deadline of one side of a stream.
type timeout struct {
	at    time.Time // zero means never
	timer *time.Timer
}

func (t *timeout) expired() bool { return !t.at.IsZero() && !time.Now().Before(t.at) }

func newStream() *stream {
	s := new(stream)
	s.cond.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.lost != nil:
			return 0, s.lost
		case s.reading.expired():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case s.buf.Len() > 0:
			s.cond.Broadcast()
			return s.buf.Read(p)
		case s.readErr != nil:
			return 0, s.readErr
		}
		s.cond.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		room := maxInFlight - s.buf.Len()
		switch {
		case s.sendErr != nil:
			return n, s.sendErr
		case s.writing.expired():
			return n, os.ErrDeadlineExceeded
		case n == len(p):
			return n, nil
		case room > 0:
			m, _ := s.buf.Write(p[n:min(len(p), n+room)])
			n += m
			s.cond.Broadcast()
			continue
		}
		s.cond.Wait()
	}
}

// end is what the writing side does at last. Its own writes fail with err, or
// EPIPE if that is nil.
func (s *stream) end(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sendErr == net.ErrClosed {
		return net.ErrClosed
	}
	if s.readErr == nil {
		s.readErr = io.EOF
	}
	if s.sendErr = err; err == nil {
		s.sendErr = errPipe
	}
	s.finish(&s.writing)
	return nil
}

// reset is what the writing side does when it closes in disorder. What is
// under way is lost if discard says so.
func (s *stream) reset(discard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != io.EOF {
		s.readErr = errConnReset
	}
	if discard && s.lost == nil {
		s.lost = errConnReset
		s.buf.Reset()
	}
	s.sendErr = net.ErrClosed
	s.finish(&s.writing)
}

// abandon is what the reading side does at last. It reports whether there was
// anything left to read.
func (s *stream) abandon() (unread bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unread = s.buf.Len() > 0
	s.buf = bytes.Buffer{}
	s.lost = net.ErrClosed
	if s.sendErr == nil {
		s.sendErr = errConnReset
	}
	s.finish(&s.reading)
	return unread
}

// finish ends the waiting on both sides, and a deadline that is of no use any
// more.
func (s *stream) finish(t *timeout) {
	if t.timer != nil {
		t.timer.Stop()
	}
	s.cond.Broadcast()
}

func (s *stream) deadline(d *timeout, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	*d = timeout{at: t}
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, s.wake)
	}
	s.cond.Broadcast()
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}
