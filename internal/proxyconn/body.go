package proxyconn

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// keepBody reads the body of resp, which has an end, and keeps its beginning. It
// reports whether the end was read.
func keepBody(resp *http.Response) (whole bool) {
	kept, err := io.ReadAll(io.LimitReader(resp.Body, maxKept))
	var more int64
	if err == nil {
		more, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxRead-maxKept))
	}
	if err == nil {
		_, err = io.ReadFull(resp.Body, make([]byte, 1))
	}
	whole = err == io.EOF
	resp.Body = newBody(kept, whole && more == 0)
	return whole
}

// keepUntilQuiet takes for the body of resp what comes before a short pause. It reports
// whether the connection is still open.
func (c *Conn) keepUntilQuiet(resp *http.Response) (open bool) {
	var kept []byte
	for len(kept) <= maxKept {
		select {
		case err := <-c.fill():
			c.filling = nil
			if err != nil {
				resp.Body = newBody(kept, err == io.EOF)
				return false
			}
			data, _ := c.br.Peek(c.br.Buffered())
			kept = append(kept, data...)
			c.br.Discard(len(data))
		case <-time.After(quietTime):
			resp.Body = newBody(kept, true)
			return true
		}
	}
	resp.Body = newBody(kept[:maxKept], false)
	return false
}

// fill begins to read into c.br and returns a channel for the result. The read ends
// with the next bytes or with the connection: a deadline can't be relied on, and one
// that has passed may spoil a connection.
func (c *Conn) fill() <-chan error {
	if c.filling == nil {
		result := make(chan error, 1)
		c.filling = result
		go func() {
			_, err := c.br.Peek(1)
			result <- err
		}()
	}
	return c.filling
}

// filled waits for a read that has begun.
func (c *Conn) filled() error {
	if c.filling == nil {
		return nil
	}
	err := <-c.filling
	c.filling = nil
	return err
}

// newBody returns a body in memory. One that is not whole does not pass for it.
func newBody(kept []byte, whole bool) io.ReadCloser {
	if whole {
		return io.NopCloser(bytes.NewReader(kept))
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(kept), cutOff{}))
}

// cutOff is the place at which a body was cut off.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
