package proxyauth

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// forward sends a request for an http:// URL, which the proxy forwards.
func (p *proxy) forward(req *http.Request) (*http.Response, error) {
	if hasAuthorization(req.Header) {
		resp, err := p.pools.get(callerPool).RoundTrip(req)
		return resp, unquoted(err)
	}
	p.count.requests.Add(1)
	f := forwarding{attempt: attempt{p: p, op: opForward, target: req.URL.Host}, req: req}
	defer f.end()
	resp, err := f.run(req.Context())
	if f.held != nil {
		f.held.letGo()
	}
	if err != nil {
		return f.failed(err)
	}
	resp.Request = req
	return resp, nil
}

// A forwarding is a forwarded request under way.
type forwarding struct {
	attempt
	req *http.Request

	resp    *http.Response // the last 407, its body unread; nil once discarded
	guarded bool           // resp's connection is of no further use

	bodySent bool      // req.Body has been handed on
	held     *heldBody // what was handed on in its place, or nil
	probed   bool      // a probe has been let pass
	rebound  bool      // a connection had lost its authentication

	// elsewhere says that a connection could not be used because it had been
	// opened for another host.
	elsewhere bool

	shown   *int   // how often net/http has sent what proves the credentials
	carried string // scheme of the authorization that the connection has added to the last leg, if it is traced
	lost    error  // of a leg whose 407 may have been lost with the connection
}

// A step is a leg to be made.
type step struct {
	req     *http.Request
	pool    poolKind
	probe   bool
	guarded bool // the connection is of no further use after a 407
}

// run makes legs until one of them is let pass.
func (f *forwarding) run(ctx context.Context) (*http.Response, error) {
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	for {
		s, err := f.next(ctx)
		if err != nil {
			return nil, err
		}
		f.discard()
		resp, err := f.send(s)
		switch {
		case err != nil:
			err = f.unsent(ctx, s, err)
		case resp.StatusCode == http.StatusProxyAuthRequired:
			err = f.asked(ctx, s, resp)
		case s.pool == boundPool:
			return resp, nil // the connection has seen to the rest
		default:
			if err = f.accepted(ctx, resp); err == nil && !s.probe {
				return resp, nil
			}
			f.probed = s.probe
			resp.Body.Close()
			err = cmp.Or(err, f.lost)
		}
		if err != nil {
			return nil, err
		}
	}
}

// next says what the next leg is.
func (f *forwarding) next(ctx context.Context) (step, error) {
	f.shown = nil
	if err := f.start(ctx, f.tls()); err != nil {
		return step{}, err
	}
	if f.binds() && !f.isFree() {
		return f.nextBound()
	}
	if f.delicate() && !f.settled() {
		f.shelve()
		f.legs++
		return step{req: f.newProbe(ctx), pool: requestPool, probe: true}, nil
	}
	auth := ""
	if f.session == nil {
		// What others have found out meanwhile is for the next leg.
		f.legs, f.sent = f.legs+1, false
	} else {
		var err error
		auth, err = f.authorize(ctx, describe(f.req), f.tls())
		if errors.Is(err, errAnew) {
			return f.next(ctx)
		}
		if err != nil {
			return step{}, err
		}
		f.rebind()
		if f.binds() {
			return f.nextBound()
		}
	}
	out, err := f.outgoing(auth)
	if err == nil && f.proves() {
		out = out.WithContext(f.countShown(ctx))
	}
	if err != nil || !f.delicate() {
		return step{req: out, pool: requestPool}, err
	}
	return step{req: out.WithContext(guard(out.Context())), pool: requestPool, guarded: true}, nil
}

// rebind takes back that the proxy wants an authorization with each request, if
// this one is not the last of its exchange, for which there must be a connection:
// there is no ticket any more, say, and NTLM takes its place.
func (f *forwarding) rebind() {
	if f.opens() && f.method.habit.perRequest.CompareAndSwap(true, false) {
		f.session = nil
	}
}

// nextBound hands the request to the connections that authenticate themselves;
// one that is made for it takes the flight over.
func (f *forwarding) nextBound() (step, error) {
	f.end()
	f.legs, f.sent = f.legs+1, false
	f.p.noteHost(hostOf(f.req))
	if f.delicate() && !f.method.habit.bound.Load() {
		// The proxy may ask again for the second request on a connection.
		f.p.pools.get(boundPool).CloseIdleConnections()
	}
	out, err := f.outgoing("")
	if err == nil && (f.elsewhere || !f.p.accepts(f.method)) {
		out = out.WithContext(openFor(out.Context(), f.req))
	}
	return step{req: out, pool: boundPool}, err
}

// tls returns the state of TLS to the proxy where it matters to a leg over a
// pooled connection.
func (f *forwarding) tls() *tls.ConnectionState {
	if f.method == nil || !f.method.habit.perRequest.Load() {
		return nil
	}
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	return f.p.lastTLS
}

func (f *forwarding) send(s step) (*http.Response, error) {
	f.hurry()
	resp, err := f.traced(s)
	f.rest()
	if e, ok := errors.AsType[*Error](err); !ok || errors.Is(e.Err, errUnanswered) {
		f.p.count.legs.Add(1) // otherwise there was no connection to send it on
	}
	return resp, err
}

func (f *forwarding) roundTrip(s step) (*http.Response, error) {
	if s.probe {
		resp, err := f.p.sendProbe(s.req)
		return resp, unquoted(err)
	}
	resp, err := f.p.pools.get(s.pool).RoundTrip(s.req)
	return resp, unquoted(err)
}

// unsent takes a leg that failed without an answer. It returns nil if there is
// another way.
func (f *forwarding) unsent(ctx context.Context, s step, err error) error {
	e, ok := errors.AsType[*Error](err)
	f.noteShown(ctx, err)
	switch {
	case ok || ctx.Err() != nil:
	case s.probe && f.lost != nil:
		return f.lost
	case s.probe:
		f.last = nil
		return f.fail(CauseProxyFailed, fmt.Errorf("proxyauth: no answer: %w", err))
	case f.lost == nil && s.pool == requestPool && !f.sent && hasBody(f.req) && f.req.GetBody != nil && !f.p.isOpen():
		// tinyproxy answers and closes while the body is on its way, which
		// net/http may take for an error before it has read the answer.
		f.lost = err
		return nil
	}
	if !ok || s.pool != boundPool || ctx.Err() != nil {
		return err
	}
	own := *e
	own.Target = f.target // net/http may have made the connection for another request
	e = &own
	if f.held != nil && f.held.unread() {
		f.held, f.bodySent = nil, false
	}
	switch m := f.method; {
	case f.legs >= maxLegs, e.Cause == CauseProxyUnreachable, e.Cause == CauseProxyNotVerified, e.Cause == CausePolicyForbids, e.Cause == CauseProxyFailed,
		e.Cause == CauseNoCredentials && !errors.Is(e, ErrNoCredentials):
		return e
	case errors.Is(e, errProofLost), errors.Is(e, errSilence):
		if len(e.Tried) == 0 {
			e.Tried, e.Err = []*SchemeError{{m.scheme.Name(), e.Err}}, nil
		}
		return e
	case !f.repeatable(e):
		return f.unrepeatable(m, e)
	case e.Cause == CauseCredentialsRejected:
		f.method = nil
		return f.another(m)
	case errors.Is(e.Err, errFree):
		return nil
	case errors.Is(e.Err, errElsewhere):
		if f.elsewhere {
			f.p.pools.get(boundPool).CloseIdleConnections() // among which there may be more of the kind
		}
		f.elsewhere = true
		return nil
	case errors.Is(e.Err, errMethodChanged):
		if f.binds() {
			f.method = nil
		}
		return nil
	case errors.Is(e.Err, errUnanswered) && f.broken > 0:
		// Once, as in net/http, is enough of what may have reached its target.
		if f.p.accepts(m) {
			return e
		}
		return f.fallBack(m, e)
	case errors.Is(e.Err, errWithdrawn) && f.broken+1 < maxBroken:
		f.broken++
		f.method, f.session, f.challenges = nil, nil, nil // the next leg asks what it offers now
		return nil
	case errors.Is(e.Err, errHandshakeBroken) && f.broken+1 < maxBroken:
		f.broken++ // where the connection was made there has been no other try
		return nil
	case errors.Is(e.Err, errAccepted), e.Cause == CauseHandshakeBroken && f.p.accepts(m):
		return e
	default:
		return f.fallBack(m, e)
	}
}

// unrepeatable returns the error for a request that may not be sent again after e.
func (f *forwarding) unrepeatable(m *method, e *Error) error {
	if !f.bodySent || e.Cause == CauseCredentialsRejected || errors.Is(e.Err, errUnanswered) {
		return e
	}
	m.habit.wary.Store(true)
	if !errors.Is(e.Err, errAskedAgain) && !f.offersOther(m, e) {
		return e
	}
	lost := *e
	lost.Cause = CauseBodyNotReplayable
	return &lost
}

// offersOther reports whether the proxy offers another scheme than that of m.
func (f *forwarding) offersOther(m *method, e *Error) bool {
	offered := append(f.offered(), e.Offered...) // of which the latter may be about the handshake alone
	for i, s := range f.p.schemes {
		if i != m.index && slices.ContainsFunc(offered, func(name string) bool { return strings.EqualFold(name, s.Name()) }) {
			return true
		}
	}
	return false
}

// repeatable reports whether the request may be sent again after e.
func (f *forwarding) repeatable(e *Error) bool {
	if f.bodySent && hasBody(f.req) && f.req.GetBody == nil {
		return false
	}
	if !errors.Is(e.Err, errUnanswered) {
		return true // it has not reached its target
	}
	switch f.req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	// As in net/http.
	_, ok := f.req.Header["Idempotency-Key"]
	_, xOK := f.req.Header["X-Idempotency-Key"]
	return ok || xOK
}

// fallBack gives up a method that could not be carried out, because of e.
func (f *forwarding) fallBack(m *method, e *Error) error {
	f.p.abandon(m)
	f.tried = append(f.tried, e.Tried...)
	if len(e.Tried) == 0 && e.Err != nil {
		f.tried = append(f.tried, &SchemeError{m.scheme.Name(), cmp.Or(e.Err, ErrUnsupportedChallenge)})
	}
	f.excluded = append(f.excluded, m.index)
	f.method, f.session = nil, nil
	return nil
}

// asked takes a 407.
func (f *forwarding) asked(ctx context.Context, s step, resp *http.Response) error {
	f.resp, f.guarded = resp, s.guarded
	if s.pool == boundPool {
		if f.rebound {
			// The others may have lost theirs too.
			f.p.pools.get(boundPool).CloseIdleConnections()
		}
		f.rebound = true
	}
	if s.pool == requestPool {
		f.p.free.remove(hostOf(f.req))
	}
	f.p.challenged(ctx, f.legInfo(s), resp)
	err := f.challenged(ctx, resp)
	if m := f.method; err == nil && s.pool == boundPool && m != nil && f.p.refused.has(m.print) {
		err = f.another(m) // the connection has noted the refusal
	}
	if err == nil && f.p.base.MaxConnsPerHost > 0 {
		keepBody(resp) // whom this request may have to wait for may be waiting for the connection
	}
	return err
}

// failed ends a request that could not be authenticated: with the proxy's 407 if
// that is what came last.
func (f *forwarding) failed(err error) (*http.Response, error) {
	f.p.ended(f.req.Context(), f.inTerms(err))
	if !f.bodySent {
		closeBody(f.req)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || f.resp == nil || e.Status != http.StatusProxyAuthRequired || f.p.rules.errorOn407 {
		f.discard()
		return nil, err
	}
	resp := f.resp
	resp.Request = f.req
	explain(f.req, e)
	return resp, nil
}

// inTerms returns err as an *Error, for the counters and the log, unless the caller has
// ended the request. The caller gets what net/http says of a proxy that does not answer.
func (f *forwarding) inTerms(err error) error {
	if _, ok := errors.AsType[*Error](err); ok || f.req.Context().Err() != nil {
		return err
	}
	return &Error{Cause: CauseProxyFailed, Op: f.op, Proxy: f.p.name, Target: f.target, Err: err}
}

// discard gives the connection of the last 407 back, or up.
func (f *forwarding) discard() {
	if f.resp == nil {
		return
	}
	if !f.guarded {
		drain(f.resp.Body)
	}
	f.resp.Body.Close()
	f.resp = nil
}
