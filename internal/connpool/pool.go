// Package connpool keeps connections to one HTTP proxy for forwarded requests,
// with the pool semantics of [net/http.Transport] and one difference: each
// connection carries the login that it is authenticated for, and a request says
// which connections fit it.
package connpool

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"
)

// maxPassed is how often later waiters may be served before one that no returned
// connection fits, while MaxConnsPerHost is reached. Then a connection is closed
// to make room for it.
const maxPassed = 16

// A Config says how a Pool connects and what it keeps.
type Config struct {
	// Base supplies the settings of the connections and of the pool. It is
	// cloned. A MaxIdleConnsPerHost of zero means MaxIdleConns, or 100 if that
	// is zero as well, since a proxy stands for all hosts.
	Base *http.Transport

	// Addr is host and port of the proxy, for httptrace.
	Addr string

	// Dial connects to the proxy, with TLS where the proxy wants that. Its context
	// has the values of the request for which it is called first, and neither
	// its deadline nor its cancellation: the connection serves another request if
	// that one has ended.
	Dial func(context.Context) (net.Conn, *tls.ConnectionState, error)

	// OnClose, if not nil, is called once for each connection when it has been
	// closed or upgraded and nobody holds it any longer. It must not block.
	OnClose func(*Conn)
}

// A Pool is safe for concurrent use. Funcs of its user that it calls under its lock
// (Want.Fits, Want.Prefer and that of CloseFunc) must not block or use the Pool;
// no other func is called under the lock.
type Pool struct {
	config      Config
	client      *http.Transport
	handover    sync.Mutex // held while client makes a ClientConn of dialed
	dialed      net.Conn
	maxConns    int // zero means no limit
	maxIdle     int
	reuse       bool // connections serve more than one holder
	idleTimeout time.Duration

	mu        sync.Mutex
	available []*Conn   // connections with a slot to give; the one used last is last
	waiting   []*waiter // the one that came first is first
	orphans   []*dial   // dials whose waiter needs them no longer
	open      int       // connections and dials that count for maxConns
	leaving   int       // those of them that are about to be closed
	closeIdle bool      // CloseIdle was called, and nobody has asked since
	growing   bool      // grow is to be called when the orphans are older
	outdated  func(*Conn) bool
	timer     *time.Timer // closes connections that have been idle too long
	ticking   bool        // timer is set

	// What is to be done after mu has been unlocked.
	toClose  []*Conn
	toReport []*Conn // to Config.OnClose
}

// New returns a Pool without connections.
func New(config Config) *Pool {
	base := config.Base
	p := &Pool{
		config:      config,
		maxConns:    base.MaxConnsPerHost,
		maxIdle:     base.MaxIdleConnsPerHost,
		reuse:       !base.DisableKeepAlives && base.MaxIdleConnsPerHost >= 0,
		idleTimeout: base.IdleConnTimeout,
	}
	if p.maxIdle == 0 {
		p.maxIdle = cmp.Or(base.MaxIdleConns, 100)
	}
	if base.MaxIdleConns != 0 { // negative means none, as in net/http
		p.maxIdle = min(p.maxIdle, base.MaxIdleConns)
	}
	p.client = p.newClient()
	return p
}

// A Want says which connections serve a request.
type Want struct {
	// Fits reports whether a connection that has served before, or has been idle,
	// can be used. Nil means every one. A connection that is dialed while the
	// request waits is used without asking.
	Fits func(*Conn) bool

	// Prefer, if not nil, picks among the idle connections that fit.
	Prefer func(*Conn) bool

	// New asks for a connection that is dialed while the request waits.
	New bool

	// Outside asks for a connection that doesn't count for any limit and is closed
	// after use: for requests that are made by callbacks of others, which must not
	// wait for these. It implies New.
	Outside bool
}

func (w *Want) fits(c *Conn) bool { return !w.New && (w.Fits == nil || w.Fits(c)) }

// A waiter is a call of Get that found no idle connection.
type waiter struct {
	ctx    context.Context // for its dial
	want   Want
	dial   *dial // under way for it, or nil
	passed int   // later ones that were served before it
	result chan result
}

type result struct {
	conn   *Conn
	idleAt time.Time // zero if it has not been idle
	reused bool
	err    error
}

// Get returns a connection for one exchange. The most recently used idle one that
// fits comes first; else Get waits for the first that fits of those that are given
// back, and for one that is dialed, in the order of calls. It calls the GetConn and
// GotConn hooks of httptrace.
//
// When ctx ends, its cause is returned. A dial goes on then, and its connection
// serves another request or becomes idle. An error of Dial is returned as it is.
//
// The connection is to be given back by Release or Close.
func (p *Pool) Get(ctx context.Context, want Want) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(p.config.Addr)
	}
	r := p.get(ctx, want)
	if r.err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, r.err
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(r.info())
	}
	return r.conn, nil
}

func (r *result) info() httptrace.GotConnInfo {
	info := httptrace.GotConnInfo{Conn: r.conn.meter.Conn, Reused: r.reused}
	if !r.idleAt.IsZero() {
		info.WasIdle, info.IdleTime = true, time.Since(r.idleAt)
	}
	return info
}

func (p *Pool) get(ctx context.Context, want Want) result {
	r, w := p.takeOrWait(ctx, want)
	if w == nil {
		return r
	}
	select {
	case r := <-w.result:
		return r
	case <-ctx.Done():
		if c := p.leave(w); c != nil {
			c.Release()
		}
		return result{err: context.Cause(ctx)}
	}
}

// takeOrWait returns an idle connection, or the waiter for one.
func (p *Pool) takeOrWait(ctx context.Context, want Want) (result, *waiter) {
	p.mu.Lock()
	defer p.unlock()
	if want.Outside {
		want.New = true
		w := &waiter{ctx: context.WithoutCancel(ctx), want: want, result: make(chan result, 1)}
		p.start(w)
		return result{}, w
	}
	p.closeIdle = false
	if c := p.pick(&want); c != nil {
		return result{conn: c, idleAt: c.idleAt, reused: true}, nil
	}
	w := &waiter{ctx: context.WithoutCancel(ctx), want: want, result: make(chan result, 1)}
	p.waiting = append(p.waiting, w)
	p.grow()
	return result{}, w
}

// Idle returns the idle connection that Get would return, or nil if there is none that
// fits. It calls the GetConn and GotConn hooks of httptrace if there is one.
func (p *Pool) Idle(ctx context.Context, want Want) *Conn {
	p.mu.Lock()
	c := p.pick(&want)
	p.unlock()
	if c == nil {
		return nil
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(p.config.Addr)
	}
	if trace != nil && trace.GotConn != nil {
		r := result{conn: c, idleAt: c.idleAt, reused: true}
		trace.GotConn(r.info())
	}
	return c
}

// pick takes the best idle connection, or returns nil. The caller holds p.mu.
func (p *Pool) pick(want *Want) (best *Conn) {
	if want.New || !p.reuse {
		return nil
	}
	for _, c := range slices.Backward(p.available) {
		switch {
		case c.isClosed(): // settle is about to be called
		case p.expired(c): // in a computer that slept, the timer is late
			p.close(c)
		case !want.fits(c):
		case want.Prefer == nil || want.Prefer(c):
			p.take(c)
			return c
		case best == nil:
			best = c
		}
	}
	if best != nil {
		p.take(best)
	}
	return best
}

// take gives a slot of c away. The caller holds p.mu.
func (p *Pool) take(c *Conn) {
	c.holders++
	if c.slots() <= 0 {
		p.unlist(c)
	}
}

// deliver ends the wait of w. The caller holds p.mu.
func (p *Pool) deliver(w *waiter, r result) {
	p.forget(w)
	w.result <- r
}

// leave ends the wait of w without a result, or returns the connection that it has got
// in the same moment.
func (p *Pool) leave(w *waiter) *Conn {
	p.mu.Lock()
	defer p.unlock()
	select {
	case r := <-w.result:
		return r.conn
	default:
		p.forget(w)
		return nil
	}
}

// forget takes w off the list. A dial that was under way for it goes on for others.
// The caller holds p.mu.
func (p *Pool) forget(w *waiter) {
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	d := w.dial
	if d == nil {
		return
	}
	w.dial, d.waiter = nil, nil
	if d.outside {
		d.cancel()
		return
	}
	p.orphans = append(p.orphans, d)
}

// unlock unlocks p.mu and does what had to wait for that.
func (p *Pool) unlock() {
	toClose, toReport := p.toClose, p.toReport
	p.toClose, p.toReport = nil, nil
	p.mu.Unlock()
	for _, c := range toClose {
		c.close()
	}
	for _, c := range toReport {
		p.config.OnClose(c)
	}
}
