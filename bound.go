package proxyauth

import (
	"context"
	"net"
	"net/http"
	"net/url"
)

// dialBound returns a connection for forwarded requests that authenticates
// itself: the legs before the last are made here, the last authorization goes
// with the first request. The error is an *Error unless ctx has ended.
func (p *proxy) dialBound(ctx context.Context) (net.Conn, error) {
	p.mu.Lock()
	host := p.lastHost
	p.mu.Unlock()
	o := opening{dialogue{attempt: attempt{p: p, op: opForward, target: host, onConn: true, single: true}}}
	defer func() { o.close() }()
	if err := o.begin(ctx); err != nil {
		return nil, err
	}
	if !o.binds() {
		return nil, o.fail(SchemeFailed, errMethodChanged)
	}
	for {
		auth, err := o.step(ctx)
		switch {
		case err != nil:
			return nil, err
		case auth != "":
			conn := newBoundConn(ctx, &o, auth)
			o = opening{}
			return conn, nil
		case o.last != nil && o.wire != nil && o.last.StatusCode != http.StatusProxyAuthRequired:
			// Let pass without having been asked to go on.
			conn := o.wire.raw()
			o.wire = nil
			return conn, nil
		}
	}
}

// An opening is what precedes the first request on a connection that
// authenticates itself.
type opening struct{ dialogue }

// step makes one leg, or returns the authorization that completes the exchange.
func (o *opening) step(ctx context.Context) (final string, err error) {
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
	h, ok := o.session.(Handshaker)
	last := !ok || h.Final()
	if last && (o.wire.used || !o.method.habit.deep.Load()) {
		return auth, nil
	}
	o.req.Header.Set(authorizationField, auth)
	again, err := o.leg(ctx)
	if err == nil && !again {
		err = o.accepted(ctx, o.last, last)
	}
	return "", err
}
