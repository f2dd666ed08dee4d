package testproxy

import (
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"sync"
)

// Reasons why an exchange writes no more. Once x.err is set, nothing more of the
// answer is sent.
var (
	errDropped = errors.New("dropped")
	errStalled = errors.New("stalled")
	errRaw     = errors.New("not HTTP")
)

// write sends the answer with all its faults and reports whether the connection
// is good for another request.
func (x *exchange) write(a *answer) bool {
	a.misbehave(x.action)
	framing := a.frame(x.req, x.action)
	a.override(x.action.Header)
	x.writeHead(a, "")
	if a.body != nil {
		x.writeBody(a.body, framing)
	}
	x.flush()
	x.reach(AfterAnswer)
	return x.err == nil && !a.close && !a.quiet
}

// writeHead sends what comes before the body, and whatever is behind it in one
// write.
func (x *exchange) writeHead(a *answer, behind string) {
	x.reach(BeforeAnswer)
	if x.err == nil && x.action.Raw != "" {
		x.writeRaw()
	}
	if x.err != nil {
		return
	}
	x.c.proxy.record.update(func() { x.leg.Status = a.status })
	x.writeInterim()
	x.split(a.statusLine(), InStatusLine)
	x.split(a.fields(), InHeader)
	x.writeFillerFields()
	x.put("\r\n" + behind)
	x.reach(AfterHeader)
}

func (x *exchange) writeRaw() {
	x.broken("raw")
	x.put(x.action.Raw)
	x.flush()
	x.reach(AfterAnswer)
	x.fail(errRaw)
}

func (x *exchange) writeInterim() {
	f := x.action
	for i := 0; x.err == nil && f.Interim != "" && (f.InterimCount < 0 || i < max(1, f.InterimCount)); i++ {
		x.put("HTTP/1.1 " + f.Interim + "\r\n\r\n")
	}
}

func (x *exchange) writeFillerFields() {
	n := x.action.FillHeader
	for i := 0; x.err == nil && (n < 0 || i < n); i++ {
		x.put(fmt.Sprintf("X-Filler-%d: %s\r\n", i, strings.Repeat("x", 64)))
	}
}

func (x *exchange) writeBody(body io.Reader, framing Framing) {
	if framing != FramingChunked {
		x.copy(x.c.w, body)
		return
	}
	w := httputil.NewChunkedWriter(x.c.w)
	x.copy(w, body)
	if x.err == nil {
		x.fail(w.Close())
		x.put("\r\n")
	}
}

// buffers are shared: a new one for each answer would be most of what the tests allocate.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copy sends the body piece by piece as it comes.
func (x *exchange) copy(w io.Writer, body io.Reader) {
	buf := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buf)
	for x.err == nil {
		n, err := body.Read(buf[:])
		x.piece(w, buf[:n])
		if err == io.EOF {
			return
		}
		x.fail(err)
	}
}

func (x *exchange) piece(w io.Writer, data []byte) {
	if len(data) == 0 || x.err != nil {
		return
	}
	if x.action.Drop == InBody || x.action.Stall == InBody {
		w.Write(data[:len(data)/2])
		x.reach(InBody)
		return
	}
	_, err := w.Write(data)
	x.fail(err)
	x.flush()
}

// split sends text with the point in its middle.
func (x *exchange) split(text string, pt Point) {
	half := len(text) / 2
	x.put(text[:half])
	x.reach(pt)
	x.put(text[half:])
}

func (x *exchange) put(text string) {
	if x.err != nil {
		return
	}
	_, err := x.c.w.WriteString(text)
	x.fail(err)
}

func (x *exchange) flush() {
	if x.err == nil {
		x.fail(x.c.w.Flush())
	}
}

// fail keeps the first error.
func (x *exchange) fail(err error) {
	if x.err == nil {
		x.err = err
	}
}

// reach drops or stalls the connection if that is to be done at pt.
func (x *exchange) reach(pt Point) {
	if x.err != nil || pt != x.action.Drop && pt != x.action.Stall {
		return
	}
	x.c.w.Flush()
	if pt == x.action.Drop {
		x.broken("dropped")
		x.c.reset = x.action.Reset
		x.fail(errDropped)
		return
	}
	x.broken("stalled")
	x.stall()
	x.fail(errStalled)
}

// stall waits for the client to give up. The connection can't be read while the
// target is being sent what comes from it.
func (x *exchange) stall() {
	if x.sent != nil && !x.sent.done() {
		<-x.c.proxy.ctx.Done()
		return
	}
	x.c.hang()
}

// A filler is an endless body.
type filler struct{}

func (filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
