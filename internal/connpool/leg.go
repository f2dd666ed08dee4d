package connpool

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// A leg is a request on a connection, and the body of its answer. It ends when that has been
// read or closed, or with the connection.
type leg struct {
	io.ReadCloser // of the answer, if it has a body

	conn *Conn
	req  *http.Request
	ctx  context.Context
	stop func() bool // ends the watch over ctx, nil if that does not end
	over atomic.Bool
}

// begin begins a leg with req. The leg watches over the request's context itself, in the place
// of net/http, which leaves something behind there when RoundTrip fails.
func (c *Conn) begin(req *http.Request) *leg {
	l := &leg{conn: c, req: req, ctx: req.Context()}
	if l.ctx.Done() != nil {
		*req = *req.WithContext((*values)(l))
		l.stop = context.AfterFunc(l.ctx, c.abort)
	}
	_ = c.cc.Reserve() // RoundTrip need not wait then, or fails as well
	c.meter.mark()
	c.leg.Store(l)
	if c.isClosed() { // before it had the leg
		l.end()
	}
	return l
}

// values is the context of a leg without its end.
type values leg

func (*values) Deadline() (end time.Time, ok bool) { return end, false }
func (*values) Done() <-chan struct{}              { return nil }
func (*values) Err() error                         { return nil }
func (v *values) Value(key any) any                { return v.ctx.Value(key) }

// answered takes the answer.
func (l *leg) answered(resp *http.Response) {
	if _, upgraded := resp.Body.(io.Writer); upgraded {
		l.conn.upgraded.Store(true)
		l.conn.meter.gone.Store(true)
		l.end()
		return
	}
	if resp.Body != http.NoBody {
		l.ReadCloser, resp.Body = resp.Body, l
		return
	}
	if l.conn.cc.Available() > 0 { // else net/http is about to close it
		l.end()
	}
}

// end ends the leg, whose answer has been read or given up. Then the connection is available,
// or of no more use.
func (l *leg) end() {
	if l.over.Swap(true) {
		return
	}
	c := l.conn
	stopped := l.stop == nil || l.stop()
	if !c.isClosed() && (!stopped || c.cc.Available() == 0) {
		c.close()
	}
	if c.isClosed() && !c.upgraded.Load() {
		closeBody(l.req) // net/http waits for a Read of it
	}
	c.leg.CompareAndSwap(l, nil)
	c.settle()
}

// explain returns err, or why the context has ended if it has.
func (l *leg) explain(err error) error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	return err
}

func (l *leg) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = l.explain(err)
	}
	if err != nil {
		l.end()
	}
	return n, err
}

func (l *leg) Close() error {
	err := l.ReadCloser.Close()
	l.end()
	return err
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
