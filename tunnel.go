package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// dialTunnel returns a connection to addr through a tunnel. Errors of the proxy
// are an *Error.
func (p *proxy) dialTunnel(ctx context.Context, _, addr string) (net.Conn, error) {
	p.count.requests.Add(1)
	conn, err := p.openTunnel(ctx, addr)
	if err != nil {
		p.ended(ctx, err)
		return nil, err
	}
	return conn, nil
}

func (p *proxy) openTunnel(ctx context.Context, addr string) (net.Conn, error) {
	addr, err := connectTarget(addr)
	t := tunnel{dialogue{attempt: attempt{p: p, op: opConnect, target: addr, onConn: true}}}
	if err != nil {
		return nil, t.fail(CauseProxyFailed, err)
	}
	start := time.Now()
	if err := t.begin(ctx); err != nil {
		return nil, err
	}
	defer t.close()
	open := false
	for err := error(nil); !open; {
		if open, err = t.step(ctx); err != nil {
			if hookErr := t.hook(ctx); hookErr != nil {
				err = errors.Join(err, hookErr)
			}
			return nil, err
		}
	}
	if err := t.hook(ctx); err != nil {
		return nil, err
	}
	if trace := p.trace; trace != nil {
		info := t.info(opConnect)
		info.Status, info.Duration = t.last.StatusCode, time.Since(start)
		call(ctx, trace.TunnelOpened, info)
	}
	conn := t.wire.raw()
	t.wire = nil
	return conn, nil
}

// A tunnel is a CONNECT under way.
type tunnel struct{ dialogue }

// step makes one leg, and reports whether the tunnel is open.
func (t *tunnel) step(ctx context.Context) (open bool, err error) {
	if err := t.connect(ctx); err != nil {
		return false, err
	}
	header, err := t.header(ctx)
	if err != nil {
		return false, err
	}
	if !hasAuthorization(header) {
		auth, err := t.authorize(ctx, Leg{Method: http.MethodConnect, Target: t.target}, t.wire.tls)
		if errors.Is(err, errAnew) {
			t.hangUp()
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if auth != "" {
			header.Set(authorizationField, auth)
		}
	}
	t.req = &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: t.target},
		Host:   t.target,
		Header: header,
	}
	if challenged, err := t.leg(ctx); challenged || err != nil {
		return false, err
	}
	if t.sent && t.last.StatusCode == http.StatusUnauthorized {
		return false, t.unauthorized(ctx)
	}
	return true, t.answered(ctx)
}

// unauthorized takes a 401, which is tinyproxy's way to say that the credentials are
// wrong, or that it does not know the scheme.
func (t *tunnel) unauthorized(ctx context.Context) error {
	if t.fresh && !t.opens() {
		return t.rejected(ctx, nil)
	}
	// Only what answers a challenge of its own is a complete attempt.
	t.noteAnswer()
	t.hangUp()
	t.drop()
	return nil
}

// header returns what Base puts into a CONNECT.
func (t *tunnel) header(ctx context.Context) (http.Header, error) {
	header := t.p.base.ProxyConnectHeader
	if get := t.p.base.GetProxyConnectHeader; get != nil {
		var err error
		if header, err = get(ctx, t.p.shownURL(), t.target); err != nil {
			return nil, err
		}
	}
	if header == nil {
		return make(http.Header), nil
	}
	for name, values := range header {
		if hasControls(name) || slices.ContainsFunc(values, hasControls) {
			return nil, t.fail(CauseProxyFailed, fmt.Errorf("proxyauth: control characters in Base's CONNECT header, field %q", name))
		}
	}
	return header.Clone(), nil
}

// answered takes an answer that ends the attempt. It returns nil if the tunnel is
// open.
func (t *tunnel) answered(ctx context.Context) error {
	status := t.last.StatusCode
	complete := t.sent && !t.opens()
	if err := t.accepted(ctx, t.last); err != nil {
		return err
	}
	switch {
	case status/100 == 2:
		return nil
	case status == http.StatusForbidden && complete:
		return t.fail(CauseDenied, nil)
	case status == http.StatusProxyAuthRequired:
		return t.fail(CauseCredentialsRejected, errCallersOwn)
	}
	return t.fail(CauseProxyFailed, nil)
}

var errCallersOwn = errors.New("proxyauth: the Proxy-Authorization that the program itself put into the CONNECT was refused")

// hook shows Base's hook the answer that ends the attempt.
func (t *tunnel) hook(ctx context.Context) error {
	h := t.p.base.OnProxyConnectResponse
	if h == nil || t.last == nil {
		return nil
	}
	return h(ctx, t.p.shownURL(), t.req, t.last)
}
