package connpool

import (
	"slices"
	"time"
)

// settle puts c where its state says: it is called whenever that may have changed.
// The caller holds p.mu.
func (p *Pool) settle(c *Conn) {
	if !c.closed && c.isClosed() {
		p.remove(c)
	}
	switch {
	case c.closed:
		if c.holders == 0 && !c.reported {
			c.reported = true
			if p.config.OnClose != nil {
				p.toReport = append(p.toReport, c)
			}
		}
	case !c.listed && !c.closing && c.slots() > 0:
		p.place(c)
	}
}

// remove forgets a connection that has been closed or upgraded. The caller holds p.mu.
func (p *Pool) remove(c *Conn) {
	c.closed = true
	p.unlist(c)
	if c.outside {
		return
	}
	p.open--
	if c.closing {
		p.leaving--
	}
	p.grow()
}

// place gives c, which can serve another request, to the first waiter that it fits, or
// keeps it idle, or closes it. The caller holds p.mu.
func (p *Pool) place(c *Conn) {
	c.kept = true
	placed := false
	defer func() { // a func of the user may panic
		if !placed {
			p.close(c)
		}
	}()
	if !p.reuse || c.outside || c.noReuse || p.outdated != nil && p.outdated(c) {
		return
	}
	w, ok := p.firstFor(c)
	switch {
	case w != nil:
		c.holders++
		p.deliver(w, result{conn: c, reused: true})
	case !ok || p.closeIdle:
		return
	default:
		p.list(c)
	}
	placed = true
}

// firstFor returns the first waiter that c fits, or nil. It is not ok to keep c if
// another waiter has been passed over too often. The caller holds p.mu.
func (p *Pool) firstFor(c *Conn) (_ *waiter, ok bool) {
	i := slices.IndexFunc(p.waiting, func(w *waiter) bool { return w.want.fits(c) })
	if i < 0 {
		return nil, true
	}
	if p.full() && p.leaving == 0 {
		for _, w := range p.waiting[:i] {
			if w.dial != nil {
				continue
			}
			if w.passed++; w.passed > maxPassed {
				return nil, false
			}
		}
	}
	return p.waiting[i], true
}

// list makes c available. The caller holds p.mu.
func (p *Pool) list(c *Conn) {
	c.idleAt = time.Now()
	c.listed = true
	p.available = append(p.available, c)
	if len(p.available) > p.maxIdle {
		p.evict()
	}
	p.grow() // for those that c does not fit
	if p.idleTimeout > 0 && !p.ticking {
		p.tickIn(p.idleTimeout)
	}
}

// unlist makes c unavailable. The caller holds p.mu.
func (p *Pool) unlist(c *Conn) {
	if !c.listed {
		return
	}
	c.listed = false
	i := slices.Index(p.available, c)
	p.available = slices.Delete(p.available, i, i+1)
}

// evict closes the connection that has been idle longest, one without a login if there
// is one. The caller holds p.mu.
func (p *Pool) evict() {
	i := slices.IndexFunc(p.available, func(c *Conn) bool { return c.idle() && c.Login == nil })
	if i < 0 {
		i = slices.IndexFunc(p.available, (*Conn).idle)
	}
	if i >= 0 {
		p.close(p.available[i])
	}
}

// close has c closed once p.mu is unlocked, which the caller holds.
func (p *Pool) close(c *Conn) {
	if c.closing || c.closed {
		return
	}
	c.closing = true
	p.unlist(c)
	if !c.outside {
		p.leaving++
	}
	p.toClose = append(p.toClose, c)
}

// expired reports whether c has been idle too long. The monotonic clock may have stood
// still while the computer slept. The caller holds p.mu.
func (p *Pool) expired(c *Conn) bool {
	age := max(time.Since(c.idleAt), time.Since(c.idleAt.Round(0)))
	return p.idleTimeout > 0 && c.idle() && age >= p.idleTimeout
}

// tickIn sets the timer. The caller holds p.mu.
func (p *Pool) tickIn(d time.Duration) {
	p.ticking = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.tick)
		return
	}
	p.timer.Reset(d)
}

// tick closes connections that have been idle too long.
func (p *Pool) tick() {
	p.mu.Lock()
	defer p.unlock()
	p.closeWhere(p.expired)
	if p.ticking = len(p.available) > 0; p.ticking {
		p.tickIn(max(p.idleTimeout-time.Since(p.available[0].idleAt), time.Millisecond))
	}
}

// closeWhere closes the idle connections for which which is true. The caller holds p.mu.
func (p *Pool) closeWhere(which func(*Conn) bool) {
	for _, c := range slices.Clone(p.available) {
		if c.idle() && which(c) {
			p.close(c)
		}
	}
}

// CloseIdle closes the idle connections, those that are given back before Get is called
// again and no waiter wants, and ends dials whose request has ended.
func (p *Pool) CloseIdle() {
	p.mu.Lock()
	defer p.unlock()
	p.closeIdle = true
	p.closeWhere(func(*Conn) bool { return true })
	for _, d := range p.orphans {
		d.cancel()
	}
	p.orphans = nil
	p.grow() // for those that relied on an orphan
	if p.ticking && len(p.available) == 0 {
		p.ticking = false
		p.timer.Stop()
	}
}

// CloseFunc closes the connections for which outdated is true: idle ones at once,
// others when they are given back, also if outdated has become true for them only then.
// It holds until CloseFunc is called again; nil lifts it. No connection that it
// is true for is handed out, except one that has just been dialed.
func (p *Pool) CloseFunc(outdated func(*Conn) bool) {
	p.mu.Lock()
	defer p.unlock()
	p.outdated = outdated
	if outdated != nil {
		p.closeWhere(outdated)
	}
}
