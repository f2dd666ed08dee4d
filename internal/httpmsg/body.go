package httpmsg

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
)

// ErrGone means that a body has been sent and can't be had again.
var ErrGone = errors.New("proxyauth: the request has a body but no GetBody")

// HasBody reports whether r has a body.
func HasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// A Body is the body of a request that may have to be sent more than once. All calls
// must be for the same request. The zero value is one that has not been sent. A Body may be
// used by several goroutines.
type Body struct {
	mu    sync.Mutex
	last  *sentBody // nil if it has not been sent
	ended bool      // it is not sent any more
}

// Next returns the body for another leg, which must close it: the request's own, then what
// GetBody returns. Without GetBody the request's own is returned again as long as it has not
// been read from, and what was returned before is no longer valid. The error is
// [ErrGone], that of GetBody, or, after Settle for a failure, context.Canceled.
func (b *Body) Next(r *http.Request) (io.ReadCloser, error) {
	if !HasBody(r) {
		return r.Body, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended:
		return nil, context.Canceled
	case b.last == nil:
		b.last = &sentBody{body: r.Body, length: r.ContentLength, withhold: r.GetBody == nil}
	case r.GetBody != nil:
		again, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		if again == nil {
			again = http.NoBody
		}
		b.last = &sentBody{body: again, length: r.ContentLength}
	default:
		again := b.last.moved()
		if again == nil {
			return nil, ErrGone
		}
		b.last = again
	}
	return b.last, nil
}

// Failed reports whether the body of the last leg could not be read, or has another length than
// the request says, so that net/http has given up the connection. A Read that fails after Close
// does not count.
func (b *Body) Failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last != nil && b.last.hasFailed()
}

// IsGone reports whether the body has been sent and can't be had again.
func (b *Body) IsGone(r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return HasBody(r) && r.GetBody == nil && b.last != nil && !b.last.unread()
}

// Settle closes the body if a leg has closed it without reading from it, which does not
// close the request's own before; or, when the request has failed, if it has not been sent
// at all. A body that is under way is closed by its leg. After a failure Next returns
// none.
func (b *Body) Settle(r *http.Request, failed bool) {
	if !HasBody(r) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.last != nil:
		b.last.settle()
	case failed && !b.ended:
		r.Body.Close()
	}
	b.ended = b.ended || failed
}

// A sentBody is a body as it is given to net/http for one leg. net/http may close it more
// than once, after RoundTrip has returned, and also where it has not read from it since the
// connection has ended in the same moment.
type sentBody struct {
	body   io.ReadCloser
	length int64 // that the request says; not known unless positive

	mu       sync.Mutex
	withhold bool // do not close the body before it has been read from: it can't be had again
	read     bool
	count    int64 // bytes read
	failed   bool
	closing  bool // Close was called
	closed   bool // or in the hands of another leg
}

func (b *sentBody) Read(p []byte) (int, error) {
	if !b.open() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.body.Read(p)
	b.note(n, err)
	return n, err
}

// note notes the result of a Read.
func (b *sentBody) note(n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count += int64(n)
	wrongLength := b.length > 0 && (b.count > b.length || err == io.EOF && b.count < b.length)
	if !b.closing && (wrongLength || err != nil && err != io.EOF) {
		b.failed = true
	}
}

func (b *sentBody) hasFailed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// open notes that the body is read from, unless it is closed.
func (b *sentBody) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = b.read || !b.closed
	return !b.closed
}

// Bare returns the body for a reader that goes past the sentBody, if that lets the system send
// it: a file, or another connection. Other bodies are read here, where an error is noted.
func (b *sentBody) Bare() io.Reader {
	if _, ok := b.body.(syscall.Conn); ok && b.open() {
		return b.body
	}
	return b
}

// Skipped notes that n bytes were read from what Bare returned, and the error of that.
func (b *sentBody) Skipped(n int64, err error) { b.note(int(n), err) }

func (b *sentBody) Close() error {
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	return b.closeIf(false)
}

// settle withholds nothing any more.
func (b *sentBody) settle() { b.closeIf(true) }

func (b *sentBody) closeIf(settled bool) error {
	b.mu.Lock()
	b.withhold = b.withhold && !settled
	now := b.closing && !b.closed && (!b.withhold || b.read)
	b.closed = b.closed || now
	b.mu.Unlock()
	if !now {
		return nil
	}
	return b.body.Close()
}

// moved returns the body for another leg, nil if it has been read from. What the leg before
// does late, such as to close it, must not reach it.
func (b *sentBody) moved() *sentBody {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read {
		return nil
	}
	b.closed = true
	return &sentBody{body: b.body, length: b.length, withhold: true}
}

func (b *sentBody) unread() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.read
}
