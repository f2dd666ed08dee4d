package connpool

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// orphanAge is how long a dial that its request no longer needs keeps another from
// dialing. One that takes longer may be about to fail.
const orphanAge = time.Second

var (
	errNoConn = errors.New("connpool: the dial function returned (nil, nil)")
	errExited = errors.New("connpool: the dial function did not return")
)

// A dial makes one connection.
type dial struct {
	waiter  *waiter // which wants it, nil if that has been served or has left
	began   time.Time
	cancel  context.CancelFunc
	outside bool
}

// grow starts a dial for each waiter that needs one, as far as the limit allows, and
// closes idle connections that stand in the way of one: they don't fit. The caller holds p.mu.
func (p *Pool) grow() {
	young := p.youngOrphans()
	orphans, leaving := young, p.leaving
	for _, w := range p.waiting {
		switch {
		case w.dial != nil:
		case orphans > 0:
			orphans--
		case !p.full():
			p.start(w)
		case leaving > 0:
			leaving--
		default:
			p.evict()
		}
	}
	if orphans < young {
		p.growLater()
	}
}

// growLater is for waiters that rely on an orphan. The caller holds p.mu.
func (p *Pool) growLater() {
	if p.growing {
		return
	}
	p.growing = true
	time.AfterFunc(orphanAge, func() {
		p.mu.Lock()
		defer p.unlock()
		p.growing = false
		p.grow()
	})
}

func (p *Pool) full() bool { return p.maxConns > 0 && p.open >= p.maxConns }

// youngOrphans counts the dials that may serve a waiter before one of its own would.
func (p *Pool) youngOrphans() (n int) {
	for _, d := range p.orphans {
		if time.Since(d.began) < orphanAge {
			n++
		}
	}
	return n
}

// start dials for w. The caller holds p.mu.
func (p *Pool) start(w *waiter) {
	d := &dial{waiter: w, began: time.Now(), outside: w.want.Outside}
	ctx, cancel := context.WithCancel(w.ctx)
	d.cancel = cancel
	w.dial = d
	if !d.outside {
		p.open++
	}
	go p.run(ctx, d)
}

func (p *Pool) run(ctx context.Context, d *dial) {
	var c *Conn
	err := errExited
	defer func() { p.finish(d, c, err) }() // Dial may panic, or call runtime.Goexit
	c, err = p.connect(ctx, d.outside)
	// As in net/http, ctx is not canceled: a connection may depend on it.
}

// finish gives what d has brought to its waiter, or the first other one. An error is
// for its own waiter only; others get a dial of their own.
func (p *Pool) finish(d *dial, c *Conn, err error) {
	p.mu.Lock()
	defer p.unlock()
	p.orphans = slices.DeleteFunc(p.orphans, func(o *dial) bool { return o == d })
	w := d.waiter
	if w != nil {
		w.dial = nil
	}
	if err != nil {
		if !d.outside {
			p.open--
		}
		if w != nil {
			p.deliver(w, result{err: err})
		}
		p.grow()
		return
	}
	if w == nil && !d.outside && len(p.waiting) > 0 {
		w = p.waiting[0]
	}
	if w != nil {
		p.deliver(w, result{conn: c})
		return
	}
	c.holders--
	p.settle(c)
}

// connect returns a connection that has one holder.
func (p *Pool) connect(ctx context.Context, outside bool) (*Conn, error) {
	conn, state, err := p.config.Dial(ctx)
	switch {
	case err != nil:
		return nil, err
	case conn == nil:
		return nil, errNoConn
	}
	c := &Conn{pool: p, tls: state, outside: outside, holders: 1, meter: meter{Conn: conn}}
	c.meter.onClose, c.abort = c.ended, c.close
	if c.cc, err = p.newClientConn(ctx, &c.meter); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// newClientConn has net/http speak HTTP on conn.
func (p *Pool) newClientConn(ctx context.Context, conn net.Conn) (*http.ClientConn, error) {
	p.handover.Lock()
	defer p.handover.Unlock()
	p.dialed = conn
	defer func() { p.dialed = nil }()
	return p.client.NewClientConn(ctx, "http", p.config.Addr)
}

// newClient returns the Transport that makes ClientConns. To it the proxy is one
// without TLS, however it is connected to: with an https:// proxy net/http would use
// the TLS configuration for origin servers.
func (p *Pool) newClient() *http.Transport {
	t := p.config.Base.Clone()
	t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.config.Addr})
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	// With these net/http would end a ClientConn after its first answer, or panic
	// when it is closed.
	t.DisableKeepAlives = false
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = 0, 0
	t.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return p.dialed, nil // NewClientConn calls this before it returns
	}
	return t
}
