package httpmsg

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxKept bounds what is read of the body of a 407, to be returned or to free the
	// connection, and drainTime the time that takes.
	maxKept   = 256 << 10
	drainTime = 5 * time.Second
)

// Keep reads the body of resp, up to 256 KiB and for 5 s, and closes it, so that it can be
// read when its connection has been given back. A body that is not whole then ends in
// io.ErrUnexpectedEOF. Close must end a Read of the body.
func Keep(resp *http.Response) {
	body := resp.Body
	closeBody := sync.OnceFunc(func() { body.Close() })
	timer := time.AfterFunc(drainTime, closeBody)
	defer timer.Stop()
	kept, err := readUpTo(body, maxKept+1)
	closeBody()
	resp.Body = NewKept(kept[:min(len(kept), maxKept)], err == io.EOF && len(kept) <= maxKept)
}

// readUpTo reads no more than limit bytes. A page that is as short as most does not
// cost the whole limit.
func readUpTo(r io.Reader, limit int) (b []byte, err error) {
	b = make([]byte, 0, min(limit, 8<<10))
	for len(b) < limit && err == nil {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, limit), b...)
		}
		var n int
		n, err = r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
	}
	return b, err
}

// A keptBody is a body that has been read already.
type keptBody struct {
	io.Reader
	kept []byte
}

// NewKept returns a body of what was kept, which must not be changed any more. One that is
// not whole must not pass for it: it ends in io.ErrUnexpectedEOF. Like any body it is for one
// goroutine; its Close does nothing.
func NewKept(kept []byte, whole bool) io.ReadCloser {
	if whole {
		return &keptBody{bytes.NewReader(kept), kept}
	}
	return &keptBody{io.MultiReader(bytes.NewReader(kept), cutOff{}), kept}
}

// cutOff is where a body was cut off.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (*keptBody) Close() error { return nil }

// Kept returns what was kept of the body of resp, however much of that has been read, and nil
// if it is no body of [Keep] or [NewKept]. The bytes must not be changed.
func Kept(resp *http.Response) []byte {
	if b, ok := resp.Body.(*keptBody); ok {
		return b.kept
	}
	return nil
}

// Watch calls done when the body of resp has been read or closed, perhaps more than once and
// from the goroutines that do so. That of a 101 is a connection and is not watched, nor is
// http.NoBody: done is called at once.
func Watch(resp *http.Response, done func()) {
	if !isReadOnly(resp) {
		done()
		return
	}
	resp.Body = &watchedBody{resp.Body, done}
}

// A watchedBody calls done when it has been read or closed.
type watchedBody struct {
	io.ReadCloser
	done func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.done()
	}
	return n, err
}

func (b *watchedBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
