package connpool

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// errServerClosedIdle is the text of net/http's error for a request on a connection that
// the server had ended with a 408. It is not exported.
const errServerClosedIdle = "http: server closed idle connection"

// A Conn is a connection to the proxy. Its methods are for the one who got it from
// Get, until Release or Close, and not for concurrent use.
type Conn struct {
	// Login is what the connection is authenticated for, nil for nothing. It is
	// comparable. When connections are to be closed, those without a login are
	// first. State is whatever belongs to it. Both belong to the holder; while
	// nobody holds the connection, to the funcs that the Pool calls under its lock;
	// and when it has been closed, to Config.OnClose.
	Login, State any

	pool    *Pool
	cc      *http.ClientConn
	abort   func() // close, for the end of a context
	tls     *tls.ConnectionState
	outside bool
	meter   meter

	leg atomic.Pointer[leg] // under way, until its answer has been read; or nil

	// Of the holder, and of the Pool while nobody holds the connection.
	served, noReuse  bool
	kept             bool // it has been given back, or was idle
	unsent, idleRace bool // of the leg that failed last
	invalid          bool

	upgraded atomic.Bool // a 101 came, perhaps before the body of its request was sent whole

	// Guarded by pool.mu.
	holders         int
	idleAt          time.Time
	listed          bool // in pool.available
	closing, closed bool
	reported        bool // to Config.OnClose
}

// RoundTrip makes one leg: it sends req on this connection, in absolute form, and
// never on another. The body of the previous answer must have been read to its end.
//
// It takes req over, and changes its context. It closes req.Body on every path, perhaps more than once and, after the end of the
// context or of the connection, during a Read. If a body has the methods Bare() io.Reader and
// Skipped(n int64, err error), that Reader takes its place where the system can send a file, and
// Skipped is told how much of it was read, and what failed.
func (c *Conn) RoundTrip(req *http.Request) (*http.Response, error) {
	l := c.begin(req)
	resp, err := c.cc.RoundTrip(req)
	if err != nil {
		l.end()
		closeBody(req)
		c.judge(req, err)
		return nil, l.explain(err)
	}
	c.served = true
	// net/http knows only Connection.
	c.noReuse = c.noReuse || hasClose(resp.Header["Proxy-Connection"])
	resp.Request = req
	if resp.TLS == nil {
		resp.TLS = c.tls // which net/http knows nothing of
	}
	l.answered(resp)
	return resp, nil
}

// judge notes what the holder may want to know of a leg that failed.
func (c *Conn) judge(req *http.Request, err error) {
	broken := c.isClosed() // else req was not valid
	c.unsent = broken && !c.meter.wrote.Load()
	c.invalid = !broken || c.unsent && !isWritable(req)
	c.idleRace = c.served && (c.meter.ended.Load() && !c.meter.read.Load() || err.Error() == errServerClosedIdle)
}

// Release gives the connection back. It serves others as soon as the body of the last
// answer has been read to its end.
func (c *Conn) Release() {
	c.pool.mu.Lock()
	defer c.pool.unlock()
	c.holders = max(c.holders-1, 0)
	c.pool.settle(c)
}

// ended is called when the connection has been closed, by this side or the other.
func (c *Conn) ended() {
	if l := c.leg.Load(); l != nil {
		l.end()
	}
	c.settle()
}

func (c *Conn) settle() {
	c.pool.mu.Lock()
	defer c.pool.unlock()
	c.pool.settle(c)
}

// Close closes the connection and gives it back; Release has no effect then. It must not
// be called after an answer 101, whose Body owns the connection.
func (c *Conn) Close() {
	c.close()
	c.Release()
}

// close closes the connection, which the Pool knows when it returns.
func (c *Conn) close() {
	c.meter.closing.Store(true)
	c.cc.Close()
	c.ended()
}

// TLS returns the state of TLS to the proxy as Config.Dial returned it, nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Reused reports whether a leg has been answered on the connection.
func (c *Conn) Reused() bool { return c.served }

// Kept reports whether the connection was there before Get, or has carried an answer: it
// may have been closed meanwhile.
func (c *Conn) Kept() bool { return c.kept || c.served }

// Ready reports whether the connection can carry another leg now: it is open, the last
// answer has been read, and did not say close.
func (c *Conn) Ready() bool { return !c.noReuse && c.cc.Available() > 0 }

// KeepAlive reports whether connections may stay open after an exchange. If not, and the
// request is no protocol upgrade, Request.Close belongs on the last leg of the exchange.
func (c *Conn) KeepAlive() bool { return !c.pool.config.Base.DisableKeepAlives }

// Unsent reports that nothing of the leg that failed last was written, and that it failed
// with the connection.
func (c *Conn) Unsent() bool { return c.unsent }

// Invalid reports that the request of the leg that failed last can't be written: nothing of it
// was, whatever the connection.
func (c *Conn) Invalid() bool { return c.invalid }

// IdleRace reports that the proxy ended the connection, on which legs had been answered,
// before it began to answer the leg that failed last: it may never have seen that.
func (c *Conn) IdleRace() bool { return c.idleRace }

// slots returns how many more holders the connection can have: HTTP/1 allows one in all, and
// none while a leg is under way. The caller holds pool.mu.
func (c *Conn) slots() int {
	if c.leg.Load() != nil {
		return 0
	}
	return 1 - c.holders
}

// idle reports whether nothing happens on the connection. The caller holds pool.mu.
func (c *Conn) idle() bool { return c.holders == 0 && c.leg.Load() == nil }

// isClosed reports whether the connection has been closed or upgraded.
func (c *Conn) isClosed() bool { return c.meter.gone.Load() }

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// isWritable reports whether net/http can write the head of req.
func isWritable(req *http.Request) bool {
	head := req.WithContext(context.Background()) // without hooks
	if hasBody(req) {
		head.Body, head.ContentLength = nil, 0
	}
	return head.WriteProxy(io.Discard) == nil
}

// hasClose reports whether a Connection or Proxy-Connection field says close.
func hasClose(values []string) bool {
	for _, v := range values {
		for option := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "close") {
				return true
			}
		}
	}
	return false
}
