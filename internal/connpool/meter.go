package connpool

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"sync/atomic"
	"time"
)

// A meter is a connection that knows whether bytes have passed since the last mark, and who
// ended it.
type meter struct {
	net.Conn
	wrote, read atomic.Bool // since the last mark
	ended       atomic.Bool // by the other side, or the network
	closing     atomic.Bool // by this side
	gone        atomic.Bool // closed, or in the hands of the one who upgraded it
	onClose     func()      // called when net/http has closed it of its own accord
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
	if err != nil && !m.closing.Load() {
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
	n, err := io.Copy(m.Conn, bare)
	if bare.R != limited.R {
		body.Skipped(limited.N-bare.N, readError(bare.R, err))
	}
	limited.N = bare.N
	return n, err
}

// readError returns the error of reading r, if it is for that that a copy of r to a connection
// has failed with err, else nil.
func readError(r io.Reader, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok || err == nil {
		return err
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if op, ok := e.(*net.OpError); ok && op.Op == "read" {
			return err
		}
	}
	// The error of sendfile(2) may be that of either. A file that can't be read says so once
	// more; where a deadline can be set, a Read might wait.
	if f, ok := r.(interface{ SetReadDeadline(time.Time) error }); ok && f.SetReadDeadline(time.Time{}) != nil {
		if _, failed := r.Read(make([]byte, 1)); failed != io.EOF {
			return failed
		}
	}
	return nil
}

// A bareBody is a body with a Reader that the system may send in its place. Skipped says how
// much of it was read there, and the error of that, nil if there was none or it is not known;
// it is not called if that Reader is the body itself.
type bareBody interface {
	Bare() io.Reader
	Skipped(n int64, err error)
}

// CloseWrite is for the Body of an answer 101.
func (m *meter) CloseWrite() error {
	if c, ok := m.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close is called by net/http, under a lock.
func (m *meter) Close() error {
	asked := m.closing.Swap(true)
	err := m.Conn.Close()
	m.gone.Store(true)
	if !asked {
		go m.onClose()
	}
	return err
}
