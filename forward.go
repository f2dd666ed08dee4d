package proxyauth

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/connpool"
	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

// forwardRequest sends a request for an http:// URL, which the proxy forwards.
func (p *proxy) forwardRequest(req *http.Request) (*http.Response, error) {
	if !httpmsg.HasCancel(req) {
		return p.forwardUntil(req.Context(), req)
	}
	ctx, end := httpmsg.WithCancel(req)
	resp, err := p.forwardUntil(ctx, req)
	if err != nil {
		end()
		return nil, err
	}
	httpmsg.Watch(resp, end)
	return resp, nil
}

// forwardUntil sends req, whose context is ctx or the parent of it.
func (p *proxy) forwardUntil(ctx context.Context, req *http.Request) (*http.Response, error) {
	if hasAuthorization(req.Header) {
		return p.forwardPreauthorized(ctx, req)
	}
	f := p.newForwarding(req, p.forward)
	p.count.requests.Add(1)
	resp, err := f.run(ctx, ctx)
	if err == nil {
		resp.Request = req
		httpmsg.HideTrailer(resp)
		f.explain401(resp)
		return resp, nil
	}
	return f.failedWith(err)
}

// explain401 explains a 401 with which the proxy itself may have refused the credentials.
func (f *forwarding) explain401(resp *http.Response) {
	if resp.StatusCode != http.StatusUnauthorized || f.outcome != lockout.NoVerdict || !f.inRealm(resp) {
		return
	}
	e := f.error(CauseCredentialsRejected, errIn401)
	e.Tried = append(e.Tried, &SchemeError{f.login.scheme.Name(), f.p.refusalOf(f.login)})
	f.p.ended(f.req.Context(), e)
	explained.Store(f.req, e)
}

// forwardPreauthorized sends a request that its caller authenticates, over a connection that
// serves only such.
func (p *proxy) forwardPreauthorized(ctx context.Context, req *http.Request) (*http.Response, error) {
	if err := p.permitsPreauthorized(req); err != nil {
		closeBody(req)
		return nil, err
	}
	f := p.newForwarding(req, p.preauthorized)
	f.preauthorized = true
	for {
		f.reqCtx = ctx
		if _, err := f.connect(f.reqCtx, nil, f.fresh); err != nil {
			f.end(false)
			return nil, err
		}
		f.sent(asking)
		resp, l := f.send(f.reqCtx, "")
		if l.err == nil {
			f.end(true)
			resp.Request = req
			httpmsg.HideTrailer(resp)
			return resp, nil
		}
		ended := f.reqCtx.Err() != nil || l.own
		if ended || f.lost(l) != stepAsk {
			f.end(false)
			if ended {
				return nil, l.err
			}
			return nil, f.failure()
		}
	}
}

// A forwarding is a forwarded request under way.
type forwarding struct {
	driver
	req     *http.Request
	pool    *connpool.Pool // that of the proxy, or for requests of the caller's own making
	conn    *connpool.Conn // in hand, or nil
	body    httpmsg.Body
	first   outgoing // request made from req
	probed  bool     // a leg that the library added has been answered, and not by a challenge
	proved  bool     // one that carried the last authorization has
	careful bool     // the body is not sent before authentication is settled
}

func (p *proxy) newForwarding(req *http.Request, pool *connpool.Pool) *forwarding {
	f := &forwarding{req: req, pool: pool}
	f.p, f.path, f.op = p, f, opForward
	f.host = httpmsg.Host(req)
	f.about = f.host
	return f
}

// forgotAfter is the idle time after which a proxy may have forgotten whom a connection
// is authenticated for.
const forgotAfter = 30 * time.Second

// A link is what is known of a connection.
type link struct {
	login   *login
	bound   bool      // authenticated for login
	since   time.Time // when
	passed  bool      // the proxy passed its opening token over: it never carries a handshake
	rode    bool      // since it was authenticated a request has gone over it
	oneLeg  bool      // one leg with a ticket authenticated it: the proxy may have meant the request alone
	session Session   // the last of login on it, of a scheme that authenticates requests
}

func linkOf(c *connpool.Conn) *link {
	if k, ok := c.State.(*link); ok {
		return k
	}
	k := new(link)
	c.State = k
	return k
}

// isBound reports whether c is authenticated for the user of l.
func isBound(c *connpool.Conn, l *login) bool {
	k, ok := c.State.(*link)
	return ok && k.bound && k.login.sameUser(l)
}

// isUnbound reports whether a leg that authenticates no connection may go over c.
func isUnbound(c *connpool.Conn) bool { return fits(c, nil, false) }

// boundTo asks for a connection for legs with l, which authenticates connections.
func boundTo(l *login) connpool.Want {
	return connpool.Want{
		Fits:   func(c *connpool.Conn) bool { return fits(c, l, true) },
		Prefer: func(c *connpool.Conn) bool { return isBound(c, l) },
	}
}

// fits reports whether a leg with l, nil for none, may go over c.
func fits(c *connpool.Conn, l *login, binds bool) bool {
	k, ok := c.State.(*link)
	switch {
	case !ok:
		return true
	case k.bound:
		return binds && k.login.sameUser(l)
	}
	return !binds || !k.passed
}

// connect takes a connection from the pool, or keeps the one in hand.
func (f *forwarding) connect(ctx context.Context, l *login, fresh bool) (authenticated bool, err error) {
	binds := l != nil && l.binds()
	if c := f.conn; c != nil {
		if !fresh && c.Ready() && fits(c, l, binds) {
			return binds && isBound(c, l), nil
		}
		f.pause()
	}
	want := connpool.Want{Fits: isUnbound}
	if binds {
		want = l.bound
	}
	want.New, want.Outside = fresh, f.inside
	c, err := f.pool.Get(ctx, want)
	if err != nil {
		return false, f.dialFailed(err)
	}
	f.conn = c
	return binds && isBound(c, l), nil
}

func (f *forwarding) ride(l *login) bool {
	f.conn = f.pool.Idle(f.req.Context(), connpool.Want{Fits: l.bound.Prefer})
	return f.conn != nil
}

// alive reports whether another leg can follow on the same connection.
func (f *forwarding) alive() bool { return f.conn != nil && f.conn.Ready() }

// pause gives the connection back, or up if a handshake has been left on it.
func (f *forwarding) pause() {
	c := f.conn
	if c == nil {
		return
	}
	f.conn = nil
	k := linkOf(c)
	handshake := (f.phase == starting || f.phase == completing) && f.login != nil && f.login.props.BindsConnection && f.turns > 0
	if handshake && !k.bound && !k.passed && !f.login.wantsEach.Load() {
		c.Close()
		return
	}
	c.Release()
}

// end gives the connection back; the answer of one that passed may still be read from it.
func (f *forwarding) end(passed bool) {
	if passed && f.conn != nil {
		f.conn.Release()
		f.conn = nil
	}
	f.pause()
	f.body.Settle(f.req, !passed)
}

// onClose calls done when the body of resp has been read or closed.
func (f *forwarding) onClose(resp *http.Response, done func()) { httpmsg.Watch(resp, done) }

// abandon gives up an answer for which nobody waits any more.
func (f *forwarding) abandon(resp *http.Response) {
	if resp != nil {
		resp.Body.Close()
	}
}

func (f *forwarding) requestEnded() { f.body.Settle(f.req, true) }

func (f *forwarding) terms() Exchange {
	if f.conn == nil {
		return Exchange{}
	}
	ex := Exchange{TLS: f.conn.TLS()}
	if k := linkOf(f.conn); k.login == f.login && k.session != nil {
		ex.Accepted, ex.AcceptedHere = k.session, true
	}
	return ex
}

func (f *forwarding) target() Leg { return describe(f.req) }

// bind notes that the connection is authenticated for l, or, for nil, that its opening
// token was passed over.
func (f *forwarding) bind(l *login) {
	if f.conn == nil {
		return // it has ended with its answer
	}
	k := linkOf(f.conn)
	switch {
	case l == nil:
		k.passed = true
	case l.binds():
		*k = link{login: l, bound: true, since: time.Now(), oneLeg: f.auth.Ticket && f.turns == 1}
		f.conn.Login = l
	default:
		k.login, k.session = l, shareable(f.session)
	}
}

// send sends a leg over the connection in hand.
func (f *forwarding) send(ctx context.Context, authorization string) (*http.Response, loss) {
	var wait *httpmsg.Wait
	switch {
	case f.added:
		var cancel context.CancelFunc
		ctx, cancel = f.p.withTimeout(ctx)
		defer cancel()
	case f.phase == starting:
		ctx, wait = httpmsg.AwaitAnswer(ctx, f.p.timeout)
		defer wait.End()
	}
	ctx, hook := httpmsg.WatchInterim(ctx)
	req, err := f.request(ctx, authorization)
	if f.added && f.body.IsGone(f.req) {
		err = ErrBodyNotReplayable
	}
	if err != nil {
		return nil, loss{final: true, err: f.bodyGone(err)}
	}
	c := f.conn
	resp, err := c.RoundTrip(req)
	if err != nil && (c.Invalid() || hook.Failed() || !f.added && f.body.Failed()) {
		l := loss{own: true, unsent: c.Invalid() || c.Unsent(), err: err}
		if !c.Ready() {
			c.Close()
			f.conn = nil
		}
		return nil, l
	}
	if err != nil {
		l := loss{unsent: c.Unsent() && c.Kept(), race: c.IdleRace(), safe: f.added || httpmsg.IsReplayable(f.req), added: f.added, late: ctx.Err() != nil, err: httpmsg.HideEcho(err)}
		l.alien, l.gaveUp = alienCause(l.err), ctx.Err() == nil && isTimeout(err)
		if f.canProbe() { // tinyproxy answers and closes while the body is on its way
			l.probe, f.careful = true, true
		}
		c.Close()
		f.conn = nil
		return nil, l
	}
	f.probed = f.probed || f.added && resp.StatusCode != http.StatusProxyAuthRequired
	f.proved = f.proved || f.probed && f.phase == completing
	f.answeredBy(c, resp)
	if wait != nil && f.conn != nil && resp.StatusCode != http.StatusProxyAuthRequired {
		wait.PassOn(resp)
	}
	return resp, loss{}
}

// bodyGone returns the error for a body that would have to be sent once more.
func (f *forwarding) bodyGone(err error) *Error {
	if f.why != nil && f.failed(f.rank) == nil {
		f.exclude(f.rank, f.why, false)
	}
	return f.error(CauseBodyNotReplayable, err)
}

// answeredBy makes the connection ready for another leg, if there is to be one.
func (f *forwarding) answeredBy(c *connpool.Conn, resp *http.Response) {
	asked := resp.StatusCode == http.StatusProxyAuthRequired
	k := linkOf(c)
	if f.phase == riding {
		f.rode(k, asked && resp.Header[challengeField] != nil)
	}
	if !asked && !f.added {
		return
	}
	long := !f.added && httpmsg.IsLong(f.req)
	httpmsg.Keep(resp)
	if asked && long || !c.Ready() {
		// After a 407 to a long body squid says keep-alive and reads no further.
		f.conn = nil
		c.Close()
	}
}

// rode notes whether a request without authorization on an authenticated connection was
// challenged.
func (f *forwarding) rode(k *link, challenged bool) {
	switch {
	case !challenged:
		if k.oneLeg && !k.rode {
			k.login.keepsBound.Store(true)
		}
		k.rode = true
	case k.oneLeg && !k.rode && time.Since(k.since) < forgotAfter:
		k.login.wantsEach.Store(true) // Apache without GssapiConnectionBound
		fallthrough
	default:
		k.bound, k.passed, f.conn.Login = false, true, nil
	}
}

func (f *forwarding) wasProbed() bool { return f.probed }

// adds reports whether the leg that comes next is one in place of the request.
func (f *forwarding) adds() bool {
	switch f.phase {
	case asking:
		return f.isDelicate() && !f.probed && !f.exempt && !f.inside
	case starting:
		return !f.opensItself()
	case riding:
		k := linkOf(f.conn)
		return f.isDelicate() && k.oneLeg && !k.rode && !k.login.keepsBound.Load()
	case completing:
		return f.isDelicate() && !f.proved && f.login.props.BindsConnection && f.login.goesOn.Load()
	}
	return false
}

// canProbe reports whether the next leg can be a probe in place of the request, which was
// lost and may have been read.
func (f *forwarding) canProbe() bool {
	if f.preauthorized || f.inside || !httpmsg.HasBody(f.req) || f.req.GetBody == nil {
		return false
	}
	switch f.phase {
	case asking:
		return !f.probed && !f.exempt && f.p.mayChallenge()
	case completing:
		return f.ticket && !f.proved && f.login.props.BindsConnection
	}
	return false
}

// opensItself reports whether the request can carry the opening token of a handshake: if
// the proxy lets it pass, that is the answer.
func (f *forwarding) opensItself() bool {
	return !httpmsg.HasBody(f.req) && httpmsg.IsSafe(f.req.Method) && f.req.Header["Expect"] == nil
}

// An outgoing is a request made from the caller's, and the value of its
// Proxy-Authorization, in one allocation.
type outgoing struct {
	req   http.Request
	value [1]string
	made  bool
}

// request returns the request of the next leg.
func (f *forwarding) request(ctx context.Context, authorization string) (*http.Request, error) {
	o := &f.first
	if o.made {
		o = &outgoing{} // net/http may still have the one before
	}
	o.made = true
	if f.added {
		o.req = *httpmsg.Probe(ctx, f.req)
	} else {
		body, err := f.body.Next(f.req)
		if err != nil {
			return nil, err
		}
		o.req = *f.req.WithContext(ctx)
		httpmsg.DropCancel(&o.req) // ctx ends with it
		o.req.Body = body
		o.req.Close = o.req.Close && f.phase != starting || f.endsConnection()
	}
	if authorization != "" && o.req.Header != nil { // net/http takes no nil Header
		o.value[0] = authorization
		o.req.Header = maps.Clone(o.req.Header)
		o.req.Header[authorizationField] = o.value[:]
	}
	return &o.req, nil
}

// endsConnection reports whether the leg says that it is the last on its connection.
func (f *forwarding) endsConnection() bool {
	once := f.phase == riding || f.phase == completing || f.exempt || f.preauthorized || f.inside
	return once && !f.conn.KeepAlive() && f.req.Header["Upgrade"] == nil
}

// failedWith ends a request that could not be authenticated: with the proxy's 407 if
// that is what came last.
func (f *forwarding) failedWith(err error) (*http.Response, error) {
	if f.reqCtx.Err() != nil || f.ownFault {
		return nil, err
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Cause: CauseProxyFailed, Op: f.op, Proxy: f.p.name, Target: f.host, Err: err, source: f.source()}
	}
	f.p.ended(f.req.Context(), e)
	if f.last == nil || e.Status != http.StatusProxyAuthRequired || f.p.rules.errorOn407 {
		return nil, e
	}
	resp := f.last
	resp.Request = f.req
	explained.Store(f.req, e)
	return resp, nil
}

func (f *forwarding) reused() bool { return f.conn != nil && f.conn.Reused() }

// isDelicate reports whether the request's body is sent only when authentication is
// settled.
func (f *forwarding) isDelicate() bool {
	return httpmsg.HasBody(f.req) && (f.careful || f.req.GetBody == nil || httpmsg.IsLong(f.req) || f.req.Header["Expect"] != nil)
}

// describe returns what a session may want to know of a forwarded request.
func describe(r *http.Request) Leg {
	leg := Leg{Method: r.Method, Target: httpmsg.Target(r), GetBody: r.GetBody, HasBody: httpmsg.HasBody(r)}
	if leg.Method == "" {
		leg.Method = http.MethodGet
	}
	return leg
}
