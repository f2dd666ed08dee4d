package proxyauth

import (
	"context"
	"errors"
	"net/http"
)

// forward sends a request for an http:// URL, which the proxy forwards.
func (p *proxy) forward(req *http.Request) (*http.Response, error) {
	if _, ok := req.Header[authorizationField]; ok {
		return p.pools.get(callerPool).RoundTrip(req)
	}
	f := forwarding{attempt: attempt{p: p, op: opForward, target: req.URL.Host}, req: req}
	defer f.end()
	resp, err := f.run(req.Context())
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

	resp  *http.Response // the last 407, its body unread; nil once discarded
	watch *connWatch     // of resp

	bodySent bool      // req.Body has been handed on
	held     *heldBody // what was handed on in its place, or nil
	probed   bool      // a probe has been let pass
	rebound  bool      // a connection had lost its authentication
}

// A step is a leg to be made.
type step struct {
	req   *http.Request
	pool  poolKind
	probe bool
	watch *connWatch // if the connection is of no further use after a 407
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
			if err = f.accepted(ctx, resp, !s.probe); err == nil && !s.probe {
				return resp, nil
			}
			f.probed = s.probe
			resp.Body.Close()
		}
		if err != nil {
			return nil, err
		}
	}
}

// next says what the next leg is.
func (f *forwarding) next(ctx context.Context) (step, error) {
	if err := f.start(ctx, nil); err != nil {
		return step{}, err
	}
	if f.binds() {
		return f.nextBound()
	}
	if f.delicate() && !f.settled() {
		f.shelve()
		f.legs++
		return step{req: f.newProbe(ctx), pool: requestPool, probe: true}, nil
	}
	var leg Leg
	if f.session != nil {
		leg = describe(f.req)
	}
	auth, err := f.authorize(ctx, leg, nil)
	if err != nil {
		return step{}, err
	}
	if f.binds() {
		return f.nextBound()
	}
	out, err := f.outgoing(auth)
	if err != nil || auth == "" || !f.delicate() {
		return step{req: out, pool: requestPool}, err
	}
	w := new(connWatch)
	return step{req: out.WithContext(w.context(ctx)), pool: requestPool, watch: w}, nil
}

// nextBound hands the request to the connections that authenticate themselves;
// one that is made for it takes the flight over.
func (f *forwarding) nextBound() (step, error) {
	f.end()
	f.legs++
	f.p.noteHost(f.req.URL.Host)
	out, err := f.outgoing("")
	return step{req: out, pool: boundPool}, err
}

func (f *forwarding) send(s step) (*http.Response, error) {
	if f.flight != nil && !s.probe {
		f.flight.landWithin(patience)
	}
	return f.traced(s)
}

func (f *forwarding) roundTrip(s step) (*http.Response, error) {
	if s.probe {
		return f.p.sendProbe(s.req)
	}
	return f.p.pools.get(s.pool).RoundTrip(s.req)
}

// unsent takes a leg that failed without an answer. It returns nil if there is
// another way.
func (f *forwarding) unsent(ctx context.Context, s step, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || s.pool != boundPool || ctx.Err() != nil || f.legs >= maxLegs ||
		e.Cause == ProxyUnreachable || e.Cause == ProxyNotVerified {
		return err
	}
	if f.held != nil && !f.held.read.Load() {
		f.bodySent = false
	}
	if e.Cause == CredentialsRejected || errors.Is(err, errMethodChanged) {
		f.method = nil
		return nil
	}
	f.p.abandon(f.method)
	f.tried = append(f.tried, e.Tried...)
	f.excluded = append(f.excluded, f.method.index)
	f.method, f.session = nil, nil
	return nil
}

// asked takes a 407.
func (f *forwarding) asked(ctx context.Context, s step, resp *http.Response) error {
	f.resp, f.watch = resp, s.watch
	if s.pool == boundPool {
		if f.rebound {
			// The others may have lost theirs too.
			f.p.pools.get(boundPool).CloseIdleConnections()
		}
		f.rebound = true
	}
	return f.challenged(ctx, resp)
}

// failed ends a request that could not be authenticated: with the proxy's 407 if
// that is what came last.
func (f *forwarding) failed(err error) (*http.Response, error) {
	if !f.bodySent {
		closeBody(f.req)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || f.resp == nil || e.Status != http.StatusProxyAuthRequired {
		f.discard()
		return nil, err
	}
	resp := f.resp
	resp.Request = f.req
	if f.watch != nil {
		resp.Body = &closingBody{resp.Body, f.watch}
	}
	explain(resp, e)
	return resp, nil
}

// discard gives the connection of the last 407 back, or up.
func (f *forwarding) discard() {
	if f.resp == nil {
		return
	}
	if f.watch == nil {
		drain(f.resp.Body)
	}
	f.resp.Body.Close()
	f.watch.close()
	f.resp, f.watch = nil, nil
}
