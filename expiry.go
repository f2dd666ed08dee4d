package proxyauth

import (
	"context"
	"errors"
	"time"
)

// errLapsed means that a provider has answered with credentials whose time has
// passed.
var errLapsed = errors.New("proxyauth: the provider's credentials have expired")

// lapsed reports whether the credentials may no longer be sent.
func (m *method) lapsed() bool { return !m.until.IsZero() && !time.Now().Before(m.until) }

// renew asks the provider for others in place of the method's credentials, whose
// time has passed. Where it finds that they have been replaced, it takes those. It
// leaves no method if there are none.
func (a *attempt) renew(ctx context.Context) error {
	old := a.method
	if !a.holds() {
		f, err := a.p.takeOff(ctx, false)
		if err != nil {
			return err
		}
		a.flight = f
	}
	m, proved := a.p.current()
	if m != old {
		a.method = m
		if proved {
			a.end()
		}
		if m == nil || !m.lapsed() {
			return nil
		}
		return a.renew(ctx)
	}
	err := a.p.permits(ctx, old.scheme)
	if err == nil {
		m, err = a.p.credentials(ctx, old.index, old.req.Realm, false)
	}
	switch {
	case err == nil:
		a.method = m
		if a.p.extend(old, m) {
			a.end()
		} else {
			a.p.choose(m)
		}
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	a.p.abandon(old)
	if errors.Is(err, ErrNoCredentials) || errors.Is(err, ErrForbidden) {
		a.giveUp(old.index, err)
		return nil
	}
	return a.unsupplied(old.scheme, err)
}

// extend puts m in the place of old if it has the same credentials, good for some
// more time, and reports whether the proxy has accepted them.
func (p *proxy) extend(old, m *method) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.method != old || !p.proved || old.print != m.print || old.ambient != m.ambient {
		return false
	}
	p.method, p.told = m, m
	return true
}
