package connpool

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
)

// A meter is a connection that knows whether bytes have passed since the last mark, and who
// ended it.
type meter struct {
	net.Conn
	wrote, read atomic.Bool // since the last mark
	ended       atomic.Bool // by the other side, or the network
	closed      atomic.Bool // by this side
}

func (m *meter) mark() {
	m.wrote.Store(false)
	m.read.Store(false)
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	m.note(&m.read, n, err)
	return n, err
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	m.note(&m.wrote, n, err)
	return n, err
}

func (m *meter) note(passed *atomic.Bool, n int, err error) {
	if n > 0 && !passed.Load() {
		passed.Store(true)
	}
	if err != nil && !m.closed.Load() {
		m.ended.Store(true)
	}
}

// ReadFrom lets the system send a file. net/http has written the request's header
// before.
func (m *meter) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(m.Conn, r)
	}
	body, ok := limited.R.(bareBody)
	if !ok {
		return io.Copy(m.Conn, r)
	}
	bare := &io.LimitedReader{R: body.Bare(), N: limited.N}
	defer func() {
		if bare.R != limited.R {
			body.Skipped(limited.N - bare.N)
		}
		limited.N = bare.N
	}()
	return io.Copy(m.Conn, bare)
}

// A bareBody is a body with a Reader that the system may send in its place. Skipped says how
// much of it was read there; it is not called if that Reader is the body itself.
type bareBody interface {
	Bare() io.Reader
	Skipped(n int64)
}

// CloseWrite is for the Body of an answer 101.
func (m *meter) CloseWrite() error {
	if c, ok := m.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (m *meter) Close() error {
	m.closed.Store(true)
	return m.Conn.Close()
}
