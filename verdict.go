package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-proxyauth/proxyauth/internal/httpfield"
	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

// takeTurn waits until the secret may be sent. It returns stepAuthorize if it may, now.
func (d *driver) takeTurn() (step, error) {
	if d.turn != nil {
		return stepAuthorize, nil
	}
	if d.acquireTrusted(d.login) {
		return stepAuthorize, nil
	}
	d.path.pause()
	return d.acquire()
}

// takeTrusted takes a turn for l, nil for none, if that needs one for its next authorization
// and is trusted. It reports whether it did.
func (d *driver) takeTrusted(l *login) bool {
	return l != nil && !l.binds() && !l.expectsTicket() && d.acquireTrusted(l)
}

func (d *driver) acquireTrusted(l *login) bool {
	if !l.secret.AcquireTrusted(&d.trusted, d.about) {
		return false
	}
	d.turn = &d.trusted
	return true
}

// acquire takes a turn. It gives the connection back if it must wait: whoever has the turn may
// wait for that.
func (d *driver) acquire() (step, error) {
	turn, err, ok := d.login.secret.TryAcquire(d.about)
	if !ok {
		d.path.pause()
		d.p.trace.call(d.reqCtx, d.p.trace.Waiting, TraceInfo{Op: d.op, Proxy: d.p.name, Target: d.host, Scheme: d.login.scheme.Name()})
		turn, err = d.login.secret.Acquire(d.reqCtx, d.about)
	}
	if held, ok := errors.AsType[*lockout.HeldError](err); ok {
		if held.Reason == lockout.ReasonDenied {
			if next := d.successor(); next != nil { // the provider has the new password by now
				d.login = next
				return d.takeTurn()
			}
			if err := d.requestErr(); err != nil {
				return stepFail, err
			}
		}
		d.heldErr = held
		if d.last != nil || d.connect {
			return d.heldBack(), nil
		}
		return stepAsk, nil
	}
	if err != nil {
		return stepFail, err
	}
	if turn.Tentative() && len(d.own(d.login.scheme)) == 0 && d.guessed == 0 && !d.down {
		turn.Done(lockout.Unsent)
		return stepAsk, nil
	}
	d.turn, d.shown = turn, false
	return stepAuthorize, nil
}

// returnTurn gives back a turn that has sent nothing, if there is one.
func (d *driver) returnTurn() {
	d.turn.Done(lockout.Unsent)
	d.turn = nil
}

// heldBack ends the exchange because the secret may not be sent.
func (d *driver) heldBack() step {
	if d.heldErr.Reason == lockout.ReasonRefused && len(d.challenges) > 0 && d.answers < maxAnswers && !d.login.knownRefused() {
		d.p.showRefusal(d.login.creds)
		d.p.drop(d.login) // refused while this request waited, or under another user info
		d.heldErr, d.anew = nil, true
		d.answers++
		return stepChoose
	}
	if d.turns == 0 { // no session has said it in this exchange
		d.rank, d.fallback = d.login.rank, d.p.fallbackOf(d.login)
	}
	switch again := d.rejected != nil && d.rejected.sameSecret(d.login); {
	case again, d.heldErr.Reason == lockout.ReasonRefused:
		return d.failFor(CauseCredentialsRejected, ErrRejected, false)
	case d.heldErr.Reason == lockout.ReasonDenied:
		return d.failFor(CauseDenied, ErrRejected, false)
	}
	if d.broken > 0 && d.err != nil { // this request's own turn was lost
		return d.failFor(CauseHandshakeBroken, fmt.Errorf("%w: %w", errBroken, d.err), false)
	}
	return d.failFor(CauseHeldBack, d.heldErr, true)
}

// abort ends an exchange that can't go on, in the middle of whatever it does.
func (d *driver) abort() {
	if d.outcome == lockout.Unsent && d.phase == completing && !d.ticket {
		d.outcome = lockout.Lost // perhaps
	}
	d.turn.Done(d.outcome)
	d.end(false)
}

// settleLost settles a leg that was ended by its context, by the program's body, which could not
// be read, or by its hook: of a secret that is trusted that says nothing.
func (d *driver) settleLost(l loss) {
	if d.phase == completing && !l.unsent && d.turn.Tentative() {
		d.turn.Done(lockout.Lost)
	}
}

// settle gives the turn its outcome, and tells everybody of an acceptance.
func (d *driver) settle() {
	switch d.outcome {
	case lockout.Unsent, lockout.Refused: // the provider is asked first
		return
	}
	news := false
	if d.outcome == lockout.Accepted || d.outcome == lockout.AcceptedUnasked && d.login.settled() {
		news = d.accepted()
	}
	if !d.ticket {
		d.turn.Done(d.outcome)
		d.turn = nil
	}
	if news { // the hook may use the Transport
		d.tellAccepted()
	}
}

// accepted notes that the login is accepted, and reports whether that is news.
func (d *driver) accepted() (news bool) {
	l := d.login
	news = d.p.accept(l, shareable(d.session), d.auth)
	if !l.props.BindsConnection {
		if shareable(d.session) != nil {
			d.session = nil // it serves later requests
		}
	} else if d.turns == 1 {
		l.goesOn.Store(false)
	}
	return news
}

// tellAccepted tells everybody that the login is accepted.
func (d *driver) tellAccepted() {
	l := d.login
	d.p.trace.call(d.reqCtx, d.p.trace.Accepted, TraceInfo{Proxy: d.p.name, Scheme: l.scheme.Name()})
	if o, ok := d.p.provider.(CredentialsObserver); ok && !l.tickets {
		d.p.notices.Add(func() { o.Accepted(inCallback(context.WithoutCancel(d.reqCtx), d.p.state), l.req, l.creds) })
	}
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

// probed takes an answer to a leg that the library has added, and which is not a 407: the
// request itself is next. Where the proxy has challenged one like it, but refuses to answer
// for it, that challenge stands.
func (d *driver) probed(resp *http.Response) step {
	d.anew = true
	switch d.phase {
	case completing:
		d.turn = nil
		return stepAuthorize
	case riding:
		return stepAuthorize
	}
	if known := d.p.unprobed(d.host); d.phase == asking && resp.StatusCode/100 != 2 && known != nil {
		d.challenges, d.offer = known, known
		return stepChoose
	}
	next := d.probePassed()
	if next == stepFail {
		d.last = nil // that was the answer to another leg
	}
	return next
}

// passedBy notes that a leg without an authorization that proves anything was let pass. A
// leg that the library adds may be refused for what it is.
func (d *driver) passedBy(resp *http.Response) {
	if !d.exempt && !d.settlesNothing(resp.StatusCode) && (!d.added || resp.StatusCode/100 == 2) {
		d.p.passed(d.host)
	}
}

// refusal takes the refusal of an authorization that answered a challenge.
func (d *driver) refusal(ctx context.Context) (step, error) {
	l := d.login
	d.closeSession()
	d.anew, d.fresh = true, d.fresh || l.props.BindsConnection
	if d.ticket || d.phase == starting { // no secret was shown
		return d.ticketRefused(), nil
	}
	next, current := d.successor(), d.turn.Current()
	d.turn.Done(lockout.Refused)
	d.turn = nil
	if next != nil {
		d.login = next
		if d.answers++; d.answers >= maxAnswers {
			return d.fail(CauseCredentialsRejected, ErrRejected), nil
		}
		return stepAuthorize, nil
	}
	if (l.secret.WasAccepted() || !current) && l.secret.State() != lockout.Barred {
		return d.failFor(CauseDenied, ErrRejected, false), nil
	}
	return d.reject(ErrRejected), nil
}

// successor returns a login with newer credentials than the ones that worked and are
// refused now, nil if there is none.
func (d *driver) successor() *login {
	l := d.login
	if !l.secret.WasAccepted() {
		return nil
	}
	next, err := d.p.replacement(d.reqCtx, l, true)
	if err != nil || l.sameSecret(next) {
		return nil
	}
	return next
}

// ticketRefused goes on with another scheme, unless the proxy has accepted this one.
func (d *driver) ticketRefused() step {
	l := d.login
	if d.p.wasAccepted(l) {
		return d.failFor(CauseDenied, d.why, false)
	}
	d.p.drop(l)
	return d.exclude(l.rank, d.why, true)
}

// reject takes the refusal of credentials, of which everybody is told once, and goes on
// with others if the provider has some. A KDC's refusal is remembered by the scheme.
func (d *driver) reject(why error) step {
	l := d.login
	d.p.drop(l)
	d.p.noteFallback(l, d.outranking())
	if d.p.showRefusal(l.creds) {
		d.tellRefused(l, why)
	}
	again := d.rejected != nil && d.rejected.sameSecret(l)
	d.rejected = l
	if d.answers++; d.answers >= maxAnswers || again {
		return d.failFor(CauseCredentialsRejected, why, false)
	}
	d.anew = true
	if d.last == nil {
		return stepAsk // what the proxy wants was known from before
	}
	return stepChoose
}

// tellRefused tells everybody that the credentials of l are refused.
func (d *driver) tellRefused(l *login, why error) {
	d.p.count.rejections.Add(1)
	d.p.trace.call(d.reqCtx, d.p.trace.Refused, TraceInfo{Proxy: d.p.name, Scheme: l.scheme.Name(), Err: why})
	if o, ok := d.p.provider.(CredentialsObserver); ok {
		d.p.notices.Add(func() { o.Rejected(inCallback(context.WithoutCancel(d.reqCtx), d.p.state), l.req, l.creds) })
	}
}

// failFor ends the exchange with cause, since the login's scheme has failed with err.
func (d *driver) failFor(cause Cause, err error, local bool) step {
	if err == ErrRejected {
		err = d.p.refusalOf(d.login)
	}
	d.note(d.login.rank, err, local)
	return d.fail(cause, nil)
}

// inRealm reports whether resp is a 401 in the realm of the proxy's own challenge, or of the
// one for which the credentials were asked.
func (d *driver) inRealm(resp *http.Response) bool {
	if d.connect || resp.StatusCode != http.StatusUnauthorized || d.phase != completing {
		return false
	}
	realm := d.login.req.Realm
	if own := d.own(d.login.scheme); len(own) > 0 {
		realm = own[0].Params["realm"]
	}
	if realm == "" { // NTLM and Negotiate have none, here and at origins
		return false
	}
	theirs, _ := httpfield.Challenges(resp.Header["Www-Authenticate"])
	return slices.ContainsFunc(theirs, func(c httpfield.Challenge) bool { return c.Params["realm"] == realm })
}
