package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
)

// opens reports whether the last authorization can't complete the exchange: it is the
// first of NTLM's messages, say, which proves nothing.
func (a *attempt) opens() bool {
	return a.handshakes() && a.session.last.More
}

// isProof reports whether an answer with status, which is not a 407, shows that the
// proxy has accepted the authorization. Where that answered no challenge, what
// stands before the proxy may have answered in its place. And where it can't have
// completed the exchange, the proxy asks nothing for this target.
func (a *attempt) isProof(status int) bool {
	switch {
	case a.p.accepts(a.method):
		return true
	case a.astray, a.opens(), status == http.StatusRequestTimeout: // which may have crossed the request
		return false
	case a.handshakes() || a.fresh:
		return true
	}
	return status/100 != 5 && status != http.StatusBadRequest && status != http.StatusForbidden && status != http.StatusTooManyRequests
}

// proves reports whether the last authorization shows the proxy a secret that it has
// not accepted yet. A ticket is none: it was got with the secret, and is refused for
// other reasons.
func (a *attempt) proves() bool {
	if !a.sent || a.session == nil || a.method.ambient || a.p.accepts(a.method) {
		return false
	}
	if a.session.last.Ticket {
		return false
	}
	return !a.opens()
}

// mayProve waits until the authorization may be sent, if it proves credentials. It
// returns again if there must be another one in its place, and errAnew as well if
// that takes another connection.
func (a *attempt) mayProve(ctx context.Context) (again bool, err error) {
	if a.proves() {
		err = a.awaitTurn(ctx)
	}
	handshakes := a.handshakes()
	switch {
	case err != nil || a.session == nil || a.opens():
		return false, err
	case a.proves() && a.p.refused.has(a.method.print):
		m := a.method
		a.method, a.session = nil, nil
		err = a.another(m)
	case a.method.lapsed():
		a.session = nil
	default:
		return false, nil
	}
	if err == nil && handshakes {
		err = errAnew
	}
	return true, err
}

// awaitTurn waits for the flight, if it is lost, and for the end of a pause.
func (a *attempt) awaitTurn(ctx context.Context) (err error) {
	if !a.holds() {
		if a.flight, err = a.p.takeOff(ctx, false); err != nil {
			return err
		}
	}
	err = a.p.lost.wait(ctx, a.method.print, a.target)
	if errors.Is(err, errSilence) {
		a.tried = append(a.tried, &SchemeError{a.method.scheme.Name(), err})
		return a.fail(CauseHandshakeBroken, nil)
	}
	return err
}

// lose notes that the last authorization has got no answer, because of err, and reports
// whether it may be sent again at once.
func (a *attempt) lose(ctx context.Context, err error) (again bool) {
	return !a.proves() || a.p.loseProof(a.method, a.target, ctx.Err() != nil || isTimeout(err))
}

// isTimeout reports whether err says that something was waited for long enough.
func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// proofLost ends the attempt with a proof that got no answer, and is not sent again.
func (a *attempt) proofLost(err error) error {
	err = fmt.Errorf("%w: %w", errProofLost, err)
	a.tried = append(a.tried, &SchemeError{a.method.scheme.Name(), err})
	return a.fail(CauseHandshakeBroken, nil)
}

// countShown returns a context for a leg that proves credentials: net/http sends a
// request again by itself if it finds that a connection is no longer kept.
func (f *forwarding) countShown(ctx context.Context) context.Context {
	n := new(int)
	f.shown = n
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { *n++ }})
}

// noteShown notes that what countShown has counted has got no answer, because of err.
func (f *forwarding) noteShown(ctx context.Context, err error) {
	if f.shown == nil {
		return
	}
	for range *f.shown {
		f.lose(ctx, err)
	}
	f.shown = nil
}

// noteAnswer notes that the last authorization has got an answer.
func (a *attempt) noteAnswer() {
	if !a.opens() {
		a.p.lost.forget(a.method.print)
	}
}

// loseProof notes that a proof of m, sent for target, has got no answer, and reports
// whether it may be sent again at once. left says that nobody waits for it any longer.
func (p *proxy) loseProof(m *method, target string, left bool) (again bool) {
	pause := lostPause
	if left {
		pause = leftPause
	}
	return p.lost.add(m.print, target, pause)
}
