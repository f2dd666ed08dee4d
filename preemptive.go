package proxyauth

import (
	"context"
	"net/http"
)

// guess opens the strongest scheme that needs no challenge, and when called again the
// next one, but none that is weaker than the site has offered or accepted.
func (d *driver) guess(ctx context.Context) (step, error) {
	for ; d.guessed < len(d.p.schemes); d.guessed++ {
		if d.floorForbids(d.guessed) != nil || d.p.permits(ctx, d.p.schemes[d.guessed]) != nil {
			continue // the proxy is asked
		}
		l, err := d.p.loginFor(d.reqCtx, d.guessed, "", d.unanswered)
		if err == nil {
			var s Session
			s, err = l.scheme.NewSession(ctx, d.terms(l, nil))
			closeSession(s)
			if err != nil {
				d.p.drop(l)
			}
		}
		switch {
		case err == nil:
			d.guessed++
			d.login, d.anew, d.guessing = l, true, true
			return stepAuthorize, nil
		case d.reqCtx.Err() != nil:
			return stepFail, context.Cause(d.reqCtx)
		case kindOf(err).is(challengeRequired):
			d.guessed++
			return stepAsk, nil
		}
	}
	return stepAsk, nil
}

// turnedDown takes a CONNECT that ended with status, or with 0 for none, and without a
// challenge. With Preemptive that is how a proxy asks which expects Basic unasked: another
// scheme is opened or, if one has passed before, the same after a CONNECT without.
func (d *driver) turnedDown(ctx context.Context, status int) (next step, err error, ok bool) {
	silent := status == 0 || status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired
	switch {
	case !d.connect || !d.p.rules.preemptive || d.asked || d.inside || !silent:
		return 0, nil, false
	case d.leave != nil && d.guessed > 0 && d.guessed < len(d.p.schemes):
		d.fresh = true
		next, err = d.guess(ctx)
		return next, err, true
	case d.phase == asking && d.login != nil && !d.down:
		return d.withheld(), nil, true
	}
	return 0, nil, false
}
