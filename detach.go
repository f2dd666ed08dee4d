package proxyauth

import (
	"context"
	"net/http"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// finishing is how long a leg whose answer counts goes on after its caller has left.
const finishing = time.Minute

// mustFinish reports whether the next leg goes on if its caller leaves: it is one of a
// handshake, or shows a secret that is not trusted.
func (d *driver) mustFinish() bool {
	l := d.login
	switch {
	case l == nil:
		return false
	case l.props.BindsConnection:
		return true
	case d.turn == &d.trusted && d.turns == 0: // begin has just taken it
		return false
	}
	return l.secret.State() != lockout.Trusted
}

// A legUnderWay is one that goes on if its caller leaves.
type legUnderWay struct {
	phase phase
	turn  *lockout.Turn
}

// detach goes on in a goroutine of its own, so that the caller may leave while a leg
// whose answer counts does not.
func (d *driver) detach(ctx context.Context, next step) (*http.Response, error) {
	d.detached = true
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(d.reqCtx, func() {
		leg := d.underWay.Load()
		if leg == nil {
			cancel(context.Cause(d.reqCtx))
			return
		}
		if leg.phase == starting {
			leg.turn.Done(lockout.Unsent) // nothing follows that shows the secret
		}
		time.AfterFunc(finishing, func() { cancel(context.Cause(d.reqCtx)) })
	})
	end := func() { stop(); cancel(nil) }
	resp, err, left := onecall.Go(d.reqCtx, func() (resp *http.Response, err error) {
		defer func() {
			if resp == nil {
				end()
			}
		}()
		return d.loop(own, next)
	}, d.path.abandon)
	switch {
	case left:
		d.path.requestEnded()
	case resp != nil:
		d.path.onClose(resp, end)
	}
	return resp, err
}
