package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
	"github.com/go-proxyauth/proxyauth/internal/tunnelpool"
)

// tunnels are the tunnels of one user.
type tunnels struct {
	*tunnelpool.Pool
	login atomic.Pointer[login] // the first, of all logins of that user
}

// belongTo reports whether the tunnels may serve requests of l.
func (t *tunnels) belongTo(l *login) bool {
	return t.login.CompareAndSwap(nil, l) || t.login.Load().sameUser(l)
}

// tunnelPool returns the tunnels for https:// URLs.
func (p *proxy) tunnelPool() *tunnels {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tunnels == nil {
		p.tunnels = &tunnels{Pool: tunnelpool.New(p.base, p.dialTunnel)}
		if p.login != nil {
			p.tunnels.login.Store(p.login)
		}
		p.made.Add(p.tunnels.Pool)
	}
	return p.tunnels
}

// roundTripTunnel sends req through a tunnel.
func (p *proxy) roundTripTunnel(req *http.Request) (*http.Response, error) {
	if isCallback(req.Context(), p.state) {
		return p.roundTripOutside(req)
	}
	t := p.tunnelPool()
	out := req
	if l := p.current(); !l.settled() || l.expired() {
		out = req.WithContext(withRequestContext(req.Context()))
	}
	resp, err := roundTripWithout(t.Transport, out)
	t.Used()
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// roundTripOutside sends a request of a callback, which must not wait for those of others:
// through a tunnel of its own.
func (p *proxy) roundTripOutside(req *http.Request) (*http.Response, error) {
	t := tunnelpool.New(p.base, p.dialTunnel)
	t.DisableKeepAlives = true
	p.made.Add(t)
	resp, err := roundTripWithout(t.Transport, req.WithContext(withRequestContext(req.Context())))
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// dialTunnel returns a connection to addr through a tunnel. Errors are an *Error, but for
// the end of the context.
func (p *proxy) dialTunnel(ctx context.Context, _, addr string) (net.Conn, error) {
	p.count.requests.Add(1)
	conn, err := p.openTunnel(ctx, addr)
	if e, ok := errors.AsType[*Error](err); ok {
		p.ended(requestContext(ctx), e)
	}
	return conn, err
}

func (p *proxy) openTunnel(ctx context.Context, addr string) (net.Conn, error) {
	start := time.Now()
	for tries := 0; ; tries++ {
		t := &tunnel{}
		t.driver = driver{exchange: exchange{connect: true}, p: p, path: t, op: opConnect, host: addr, about: "CONNECT " + strings.ToLower(addr)}
		conn, err := t.open(ctx)
		if err != nil {
			return nil, err
		}
		if l := p.current(); l != nil && t.login != nil && !t.login.sameUser(l) {
			conn.Close() // the user has changed meanwhile
			if tries < maxAnswers {
				continue
			}
			return nil, t.error(CauseProxyFailed, errUserChanges)
		}
		orUndo(func() { p.trace.tunnelOpened(ctx, t.leg, start, t.last) }, func() { conn.Close() })
		return conn, nil
	}
}

// A tunnel is a CONNECT under way.
type tunnel struct {
	driver
	conn    *proxyconn.Conn // nil if none is open
	header  http.Header     // what Base puts into the CONNECT
	request *http.Request   // the last one
}

var errUserChanges = errors.New("proxyauth: the user changes faster than a tunnel is opened")

// open returns the connection through the tunnel.
func (t *tunnel) open(ctx context.Context) (net.Conn, error) {
	target, err := proxyconn.ConnectTarget(t.host)
	if err != nil {
		return nil, t.error(CauseProxyFailed, err)
	}
	t.host = target
	if err := t.readHeader(ctx); err != nil {
		return nil, err
	}
	if hasAuthorization(t.header) {
		t.inside, t.preauthorized = true, true
	}
	resp, err := t.run(ctx, requestContext(ctx))
	switch {
	case err == nil:
		err = t.refused(resp)
	case t.reqCtx.Err() != nil:
		return nil, err // a leg may still be under way
	}
	if h := t.p.base.OnProxyConnectResponse; h != nil && t.last != nil {
		var hookErr error
		orUndo(func() { hookErr = h(inCallback(ctx, t.p.state), t.p.shownURL(), t.request, t.last) }, t.hangUp)
		if hookErr != nil {
			err = errors.Join(err, hookErr)
		}
	}
	if err != nil {
		t.hangUp()
		return nil, err
	}
	return t.conn.Tunnel(), nil
}

// readHeader asks Base what to put into the CONNECT.
func (t *tunnel) readHeader(ctx context.Context) error {
	header := t.p.base.ProxyConnectHeader
	if get := t.p.base.GetProxyConnectHeader; get != nil {
		var err error
		if header, err = get(inCallback(ctx, t.p.state), t.p.shownURL(), t.host); err != nil {
			return err
		}
	}
	for name, values := range header {
		if hasControls(name) || slices.ContainsFunc(values, hasControls) {
			return t.error(CauseProxyFailed, fmt.Errorf("proxyauth: control characters in Base's CONNECT header, field %q", name))
		}
	}
	if t.header = header.Clone(); t.header == nil {
		t.header = make(http.Header)
	}
	if _, ok := t.header["Proxy-Connection"]; !ok {
		t.header["Proxy-Connection"] = []string{"keep-alive"} // squid 2
	}
	return nil
}

// refused returns the error for the answer that ends the exchange, nil if the tunnel is
// open.
func (t *tunnel) refused(resp *http.Response) error {
	switch status := resp.StatusCode; {
	case status/100 == 2:
		return nil
	case status == http.StatusProxyAuthRequired && t.preauthorized:
		return t.error(CauseCredentialsRejected, errPreauthorized)
	case status == http.StatusBadRequest && t.p.url.Scheme == "http" && httpmsg.WantsTLS(httpmsg.Kept(resp)):
		return t.error(CauseProxyUnreachable, errWantsTLS)
	case status == http.StatusForbidden:
		return t.error(CauseDenied, nil)
	case status == http.StatusInternalServerError, status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout:
		return t.error(CauseTargetUnreachable, nil)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return t.error(CauseNotAProxy, nil)
	}
	return t.error(CauseProxyFailed, nil)
}

// connect dials the proxy, or keeps the connection there is.
func (t *tunnel) connect(ctx context.Context, _ *login, fresh bool) (authenticated bool, err error) {
	if t.alive() && !fresh && (t.handshaking() || !t.p.oneConnect.Load()) {
		return false, nil
	}
	t.hangUp()
	conn, state, err := t.p.dial(ctx)
	if err != nil {
		return false, t.dialFailed(err)
	}
	t.conn = proxyconn.New(conn, state)
	return false, nil
}

func (t *tunnel) alive() bool { return t.conn != nil && t.conn.Reusable() }

func (t *tunnel) ride(*login) bool { return false }

// pause keeps the connection: no pool wants it.
func (t *tunnel) pause() {}

func (t *tunnel) end(passed bool) {
	if !passed {
		t.hangUp()
	}
}

func (t *tunnel) abandon(*http.Response) { t.hangUp() }

func (t *tunnel) requestEnded() {}

func (t *tunnel) hangUp() {
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

func (t *tunnel) bind(*login) {}

func (t *tunnel) adds() bool      { return false }
func (t *tunnel) wasProbed() bool { return false }

// onClose calls done at once: the tunnel does not end with the exchange's context.
func (t *tunnel) onClose(_ *http.Response, done func()) { done() }

func (t *tunnel) target() Leg { return Leg{Method: http.MethodConnect, Target: t.host} }

func (t *tunnel) terms() Exchange {
	if t.conn == nil {
		return Exchange{}
	}
	return Exchange{TLS: t.conn.TLS()}
}

// send sends one CONNECT.
func (t *tunnel) send(ctx context.Context, authorization string) (*http.Response, loss) {
	ctx, cancel := t.p.withTimeout(ctx)
	defer cancel()
	header := t.header
	if authorization != "" {
		header = t.header.Clone()
		header.Set(authorizationField, authorization)
	}
	resp, err := t.conn.Connect(ctx, proxyconn.Leg{Target: t.host, Header: header, MaxHead: t.p.base.MaxResponseHeaderBytes, Bound: t.isBound})
	progress := t.conn.Progress()
	if err != nil {
		t.hangUp()
		return nil, loss{unsent: !progress.Written && progress.Reused, race: progress.Reused && !progress.Read && ctx.Err() == nil, safe: true, late: ctx.Err() != nil, alien: alienCause(err), err: err}
	}
	if resp.StatusCode/100 != 2 {
		whole, err := io.ReadAll(resp.Body)
		resp.Body = httpmsg.NewKept(whole, err == nil)
	}
	if resp.StatusCode == http.StatusBadRequest && progress.Reused && !t.alive() {
		t.p.oneConnect.Store(true) // nghttpx
		t.hangUp()
		return nil, loss{race: true, safe: true, err: errBadRequest}
	}
	t.request = resp.Request
	return resp, loss{}
}

var errBadRequest = errors.New("proxyauth: the proxy answers a second CONNECT on a connection with status 400")

// isBound reports whether the challenge of a 407 continues a handshake on the connection.
func (t *tunnel) isBound(resp *http.Response) bool {
	return t.phase == starting && resp.StatusCode == http.StatusProxyAuthRequired
}

func (t *tunnel) reused() bool { return t.conn != nil && t.conn.Served() }
