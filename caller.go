package proxyauth

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// A caller is who waits for a request for which net/http may make a connection: the
// context of that does not end with the request's, and a person who is asked for a
// password would be asked for hours.
type caller struct {
	ctx  context.Context
	busy chan struct{} // full while the provider is called
}

type callerKey struct{}

// putBack is for how long a request that has ended waits for a provider to end as well,
// and to put a terminal back.
const putBack = time.Second

// roundTripTunnel sends req through a tunnel.
func (p *proxy) roundTripTunnel(req *http.Request) (*http.Response, error) {
	pool := p.pools.get(tunnelPool)
	if m, proved := p.current(); proved && !m.lapsed() {
		return roundTripWithout(pool, req)
	}
	c := &caller{req.Context(), make(chan struct{}, 1)}
	resp, err := roundTripWithout(pool, req.WithContext(context.WithValue(c.ctx, callerKey{}, c)))
	if err != nil && c.ctx.Err() != nil {
		c.settle()
	}
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// callerOf returns the context of the request that a connection is made for with ctx:
// a connection that nobody waits for need not wait its turn.
func callerOf(ctx context.Context) context.Context {
	if c, ok := ctx.Value(callerKey{}).(*caller); ok {
		return c.ctx
	}
	return ctx
}

// settle waits for the end of the provider's call, if there is one.
func (c *caller) settle() {
	timer := time.NewTimer(putBack)
	defer timer.Stop()
	select {
	case c.busy <- struct{}{}:
		<-c.busy
	case <-timer.C:
	}
}

type withinKey struct{ p *proxy }

var errWithin = errors.New("proxyauth: the provider of the credentials asks for this through the proxy that they are for, which wants them for it")

// askFor returns a context for a call of the provider about p.
func askFor(ctx context.Context, p *proxy) context.Context {
	return context.WithValue(ctx, withinKey{p}, true)
}

// isWithin reports whether a request with ctx is made by the provider while it is asked
// about p: it may want to reach a vault, and can't wait for what it is itself to give.
func isWithin(ctx context.Context, p *proxy) bool { return ctx.Value(withinKey{p}) != nil }

// untilCaller returns a context for a call of the provider. It ends with ctx, and with
// the context of the request that it is made for. end must be called after the call.
func untilCaller(ctx context.Context) (_ context.Context, end func()) {
	c, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return ctx, func() {}
	}
	c.busy <- struct{}{}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })
	return ctx, func() {
		stop()
		cancel(nil)
		<-c.busy
	}
}
