package proxyauth

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// maxHead bounds the bytes of an answer's status line and header where
	// Base.MaxResponseHeaderBytes does not; net/http's own bound.
	maxHead = 10 << 20

	// maxKept is how much of the body of an answer to a CONNECT, or in a
	// handshake, is kept for Error.Body and hooks. maxDrained is how much of a
	// body is read so that the connection can be used again, and how much is
	// kept of one that may be returned. squid's error pages have 3 KB.
	maxKept    = 64 << 10
	maxDrained = 256 << 10

	// drainPatience bounds the time for which the rest of an answer's body is
	// waited for; its header has told what matters.
	drainPatience = 5 * time.Second

	// maxInformational bounds the 1xx answers before the real one.
	maxInformational = 8
)

// A wire is a connection to the proxy over which legs are exchanged before it is
// handed on.
type wire struct {
	net.Conn
	tls   *tls.ConnectionState
	br    *bufio.Reader
	limit *io.LimitedReader
	used  bool // an answer has come over it
}

func (s *state) maxHead() int64 {
	if n := s.base.MaxResponseHeaderBytes; n > 0 {
		return n
	}
	return maxHead
}

func (p *proxy) dialWire(ctx context.Context) (*wire, error) {
	conn, state, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	limit := &io.LimitedReader{R: conn}
	return &wire{Conn: conn, tls: state, limit: limit, br: bufio.NewReader(limit)}, nil
}

// leg sends req and reads the answer. Of a 2xx to CONNECT the body is the tunnel
// and not touched; any other is read, up to a limit, and of it the beginning kept
// in resp.Body. keep tells whether the connection is good for another leg.
func (w *wire) leg(ctx context.Context, req *http.Request, maxHead int64) (resp *http.Response, keep bool, err error) {
	unwatch := context.AfterFunc(ctx, func() { w.SetDeadline(aLongTimeAgo) })
	defer func() {
		if !unwatch() {
			resp, keep, err = nil, false, context.Cause(ctx)
		}
	}()
	var out bytes.Buffer
	if err := req.WriteProxy(&out); err != nil {
		return nil, false, err // there will be no answer
	}
	_, writeErr := w.Write(out.Bytes())
	// What has arrived is read before a failed write counts: a proxy that does
	// not like the request may answer and reset the connection.
	resp, err = w.read(req, maxHead)
	if err != nil {
		return nil, false, cmp.Or(writeErr, err)
	}
	if req.Method == http.MethodConnect && resp.StatusCode/100 == 2 {
		return resp, false, nil
	}
	whole := w.keep(resp)
	// What follows already has not been asked for, and must not pass for the
	// answer to the next leg.
	quiet := w.br.Buffered() == 0
	return resp, whole && quiet && persists(resp) && writeErr == nil, nil
}

// persists reports whether the proxy says that it keeps the connection open after
// resp. Old ones say so in Proxy-Connection, which is in no standard and which
// net/http does not know (RFC 9112, Appendix C.2.2): squid 2 answers in HTTP/1.0 and
// has it in place of Connection, and without the connection there is no NTLM.
func persists(resp *http.Response) bool {
	switch {
	case hasToken(resp.Header["Proxy-Connection"], "close"), hasToken(resp.Header["Connection"], "close"):
		return false
	case !resp.Close:
		return true
	}
	return !resp.ProtoAtLeast(1, 1) && resp.ContentLength >= 0 && hasToken(resp.Header["Proxy-Connection"], "keep-alive")
}

// hasToken reports whether a field that is a list of tokens has token.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// read reads the answer's status line and header, skipping informational ones.
func (w *wire) read(req *http.Request, maxHead int64) (*http.Response, error) {
	for range maxInformational {
		w.limit.N = maxHead
		resp, err := http.ReadResponse(w.br, req)
		if err != nil {
			if w.limit.N <= 0 {
				err = errors.New("proxyauth: header of the answer is too long")
			}
			return nil, unquoted(err)
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			w.used = true
			return resp, nil
		}
	}
	return nil, errors.New("proxyauth: too many informational answers")
}

// keep reads the body of an answer and reports whether it was read whole. A
// deadline of its own may end it, without harm to what has been read.
func (w *wire) keep(resp *http.Response) (whole bool) {
	w.limit.N = maxDrained
	timer := time.AfterFunc(drainPatience, func() { w.SetReadDeadline(aLongTimeAgo) })
	defer timer.Stop()
	var kept bytes.Buffer
	var more int64
	_, err := io.CopyN(&kept, resp.Body, maxKept)
	if err == nil {
		more, err = io.Copy(io.Discard, resp.Body)
	}
	resp.Body.Close()
	whole = err == nil || err == io.EOF
	resp.Body = newKeptBody(kept.Bytes(), whole && more == 0)
	return whole && timer.Stop()
}

// raw returns the connection to be used from now on: the one of the proxy
// itself, unless bytes of what follows have been read already.
func (w *wire) raw() net.Conn {
	if w.br.Buffered() == 0 {
		return w.Conn
	}
	early, _ := w.br.Peek(w.br.Buffered())
	c := &earlyConn{Conn: w.Conn, early: bytes.Clone(early)}
	if half, ok := w.Conn.(closeWriter); ok {
		return &earlyHalfConn{c, half}
	}
	return c
}

// An earlyConn is a connection of which the first bytes have been read.
type earlyConn struct {
	net.Conn
	early []byte
}

func (c *earlyConn) Read(b []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.early)
	c.early = c.early[n:]
	return n, nil
}

// ReadFrom lets a file be sent by the system, as without the earlyConn.
func (c *earlyConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// An earlyHalfConn is an earlyConn that can be closed for writing alone.
type earlyHalfConn struct {
	*earlyConn
	closeWriter
}

type closeWriter interface{ CloseWrite() error }

// A keptBody is a body that has been read already.
type keptBody struct {
	io.Reader
	kept []byte
}

// newKeptBody returns a body of what was kept. One that is not whole must not pass
// for it.
func newKeptBody(kept []byte, whole bool) *keptBody {
	if whole {
		return &keptBody{bytes.NewReader(kept), kept}
	}
	return &keptBody{io.MultiReader(bytes.NewReader(kept), cutOff{}), kept}
}

// cutOff is where a body was cut off.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (*keptBody) Close() error { return nil }

// kept returns what was kept of the body of resp.
func kept(resp *http.Response) []byte {
	if b, ok := resp.Body.(*keptBody); ok {
		return b.kept
	}
	return nil
}
