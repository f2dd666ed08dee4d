package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// maxRedials bounds the new connections for a proxy that closes the ones that it
// said it would keep.
const maxRedials = 2

// A dialogue is an attempt whose legs go over a connection of its own, until that
// is handed on.
type dialogue struct {
	attempt
	req     *http.Request // the last leg
	wire    *wire         // nil if no connection is open
	redials int
}

// connect sees to it that there is a connection.
func (d *dialogue) connect(ctx context.Context) (err error) {
	if d.wire == nil {
		d.hurry()
		d.wire, err = d.p.dialWire(ctx)
		d.rest()
	}
	return err
}

func (d *dialogue) close() {
	d.hangUp()
	d.end()
}

func (d *dialogue) hangUp() {
	if d.wire != nil {
		d.wire.Close()
		d.wire = nil
	}
}

// leg sends d.req and takes the answer. It reports whether there is to be another
// leg; if not, the answer is d.last.
func (d *dialogue) leg(ctx context.Context) (again bool, err error) {
	resp, keep, err := d.exchange(ctx)
	d.last = resp
	switch {
	case err != nil:
		return true, d.broken(ctx, err)
	case resp.StatusCode == http.StatusProxyAuthRequired && !d.callersOwn():
		return true, d.answer407(ctx, keep)
	case !keep && (d.req.Method != http.MethodConnect || resp.StatusCode/100 != 2):
		d.hangUp()
	}
	return false, nil
}

func (d *dialogue) exchange(ctx context.Context) (*http.Response, bool, error) {
	d.hurry()
	defer d.rest()
	d.p.count.legs.Add(1)
	ctx, cancel := d.p.withTimeout(ctx)
	defer cancel()
	return d.traced(ctx, func() (*http.Response, bool, error) { return d.wire.leg(ctx, d.req, d.p.maxHead()) })
}

// callersOwn reports whether the authorization of the last leg was put there by
// the program.
func (d *dialogue) callersOwn() bool {
	return hasAuthorization(d.req.Header) && !d.sent
}

// broken takes a leg that got no answer. It returns nil if the leg is to be made
// again on a new connection.
func (d *dialogue) broken(ctx context.Context, err error) error {
	reused := d.wire.used
	d.hangUp()
	again := d.lose(ctx, err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case d.handshakes() && !again:
		return d.proofLost(err)
	case d.handshakes():
		return d.next(ctx, fmt.Errorf("%w: %w", errHandshakeBroken, err))
	case again && reused && d.redials < maxRedials && !errors.Is(err, context.DeadlineExceeded):
		// Announced as kept alive, and closed all the same.
		d.redials++
		return nil
	}
	return d.fail(CauseProxyFailed, fmt.Errorf("proxyauth: no answer: %w", err))
}

// answer407 takes a challenge.
func (d *dialogue) answer407(ctx context.Context, keep bool) error {
	bound := d.sent && d.binds()
	d.p.challenged(ctx, d.legInfo(), d.last)
	err := d.challenged(ctx, d.last)
	switch {
	case err != nil:
	case bound && d.session == nil:
		keep = false // squid's connection is of no use after a failed handshake
	case !keep && d.session != nil && d.binds():
		err = d.next(ctx, fmt.Errorf("%w: the proxy closed the connection", errHandshakeBroken))
	}
	if !keep {
		d.hangUp()
	}
	return err
}
