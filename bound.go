package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// dialBound returns a connection for forwarded requests that authenticates
// itself: the legs before the last are made here, the last authorization goes
// with the first request. The error is an *Error unless ctx has ended.
func (p *proxy) dialBound(ctx context.Context) (net.Conn, error) {
	o := opening{dialogue{attempt: attempt{p: p, op: opForward, target: p.openingHost(ctx), onConn: true, single: true}}}
	defer func() { o.close() }()
	if err := o.begin(ctx); err != nil {
		return nil, err
	}
	if !o.binds() {
		return nil, o.fail(CauseSchemeFailed, errMethodChanged)
	}
	for o.legs < maxLegs {
		auth, err := o.step(ctx)
		if errors.Is(err, errAnew) {
			o.hangUp()
			continue
		}
		if err != nil {
			return nil, err
		}
		passed := auth == "" && o.last != nil && o.last.StatusCode != http.StatusProxyAuthRequired
		if passed && o.oneLeg() && !o.method.habit.bound.Load() {
			o.hangUp() // a second request might be asked for a token of its own
		}
		switch {
		case passed && o.wire == nil && !o.p.accepts(o.method):
			return nil, o.fail(CauseHandshakeBroken, fmt.Errorf("%w (status %d)", errClosedEarly, o.last.StatusCode))
		case passed && o.wire == nil:
			o.session = nil // the next connection is for the request
		case auth != "" || passed:
			free := passed && o.opens()
			if free && o.p.free.add(o.target) {
				return nil, o.fail(CauseSchemeFailed, errFree)
			}
			if free && o.last.StatusCode/100 == 5 {
				return nil, o.fail(CauseProxyFailed, nil) // it does ask for this host, and can't now
			}
			conn := newBoundConn(ctx, &o, auth)
			conn.target, conn.astray = requestTarget(o.req), free
			o = opening{}
			return conn, nil
		}
	}
	return nil, o.fail(CauseHandshakeBroken, errClosedEarly)
}

type openingKey struct{}

// openFor returns a context for a request whose connection is to be opened for its
// own host, rather than for the one of any request under way.
func openFor(ctx context.Context, req *http.Request) context.Context {
	return context.WithValue(ctx, openingKey{}, hostOf(req))
}

// openingHost returns the host for which a connection is opened.
func (p *proxy) openingHost(ctx context.Context) string {
	if host, ok := ctx.Value(openingKey{}).(string); ok {
		return host
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastHost
}

// An opening is what precedes the first request on a connection that
// authenticates itself.
type opening struct{ dialogue }

// step makes one leg, or returns the authorization that completes the exchange.
func (o *opening) step(ctx context.Context) (final string, err error) {
	if o.method == nil {
		return "", o.start(ctx, nil) // which says why
	}
	if err := o.connect(ctx); err != nil {
		return "", err
	}
	// Neither the caller's method nor the caller's header: the proxy may
	// forward this after all. HEAD would break ISA Server.
	o.req = &http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "http", Host: o.target, Path: "/"},
		Host:   o.target,
		Header: make(http.Header),
	}
	auth, err := o.authorize(ctx, Leg{Method: http.MethodGet, Target: o.req.URL.String()}, o.wire.tls)
	if err != nil {
		return "", err
	}
	if auth == "" {
		return "", o.fail(o.verdict(), nil)
	}
	last := !o.opens()
	if last && !o.holdsBack() {
		return auth, nil
	}
	o.req.Header.Set(authorizationField, auth)
	again, err := o.leg(ctx)
	if err != nil || again {
		return "", err
	}
	if last {
		o.method.habit.depth.Store(min(o.turns-1, o.method.habit.depth.Load()))
	}
	return "", o.accepted(ctx, o.last)
}

// oneLeg reports whether the exchange took a single authorization, which could be
// expected to complete it.
func (o *opening) oneLeg() bool {
	return o.turns <= 1 && !o.opens()
}

// holdsBack reports whether an authorization that could complete the exchange is
// not to go with the request.
func (o *opening) holdsBack() bool {
	h := o.method.habit
	return o.turns <= h.depth.Load() || h.wary.Load() && !o.p.accepts(o.method)
}
