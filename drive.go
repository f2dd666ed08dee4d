package proxyauth

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

// A path carries the legs of one exchange to the proxy.
type path interface {
	// connect takes a connection for a leg with login l, nil for one without
	// authorization; a new one if fresh is set. It keeps the one in hand where that
	// serves. It reports whether the connection is authenticated for l already.
	connect(ctx context.Context, l *login, fresh bool) (authenticated bool, err error)

	// ride takes a connection that is authenticated for l, if one is idle.
	ride(l *login) bool

	// alive reports whether another leg can follow on the connection in hand.
	alive() bool

	// pause gives the connection back while the exchange waits for something else
	// than the proxy.
	pause()

	// terms returns what a session may know of the connection, and target what an
	// authorization may depend on.
	terms() Exchange
	target() Leg

	// send sends a leg of the current phase. If there is no answer, loss says how
	// that came about.
	send(ctx context.Context, authorization string) (*http.Response, loss)

	// reused reports whether the connection in hand has carried an answer.
	reused() bool

	// adds reports whether a leg of the current phase is one that the library adds, and
	// wasProbed whether such a leg was answered by something else than a challenge.
	adds() bool
	wasProbed() bool

	// bind notes that the proxy has taken an authorization of l on the connection, or,
	// for nil, that it has passed one over that was to open a handshake.
	bind(l *login)

	// end gives the connection back, or up; with passed set, its answer is the
	// caller's, and abandon gives up an answer that the caller no longer wants.
	end(passed bool)
	abandon(*http.Response)

	// requestEnded notes that the caller has left: what has not been sent is not needed. It is
	// called while a leg may be under way.
	requestEnded()

	// onClose calls f when the answer has been read.
	onClose(*http.Response, func())
}

// A driver executes the steps of an exchange.
type driver struct {
	exchange
	p             *proxy
	path          path
	op            string // for errors
	host          string // for errors and exempt hosts
	about         string // what the request is for, to the lockout
	inside        bool   // the request comes from a callback: it gets no credentials
	preauthorized bool   // by the program: a 407 is the answer
	exempt        bool   // the host is, as far as is known

	login    *login
	rejected *login // the last one whose credentials were refused, or nil
	session  Session
	auth     Authorization // the last one
	turn     *lockout.Turn
	trusted  lockout.Turn       // turn, where it has no limit
	shown    bool               // since the turn was acquired, the secret was sent
	heldErr  *lockout.HeldError // why the secret may not be sent

	challenges []Challenge // of the last 407
	offer      []Challenge // of the last 407 that was not part of a handshake
	malformed  error
	last       *http.Response // the last answer
	added      bool           // the last leg was one that the library adds
	leg        *TraceInfo     // of the last leg, nil if no hook wants that
	leave      func()         // ends the first contact, or nil
	unanswered int            // questions that the provider had failed to answer when the request began

	ownFault bool // the program's request can't be written, or its body or hook has failed: the error is its own

	guessed  int // schemes opened unasked
	detached bool
	underWay atomic.Pointer[legUnderWay] // one whose answer counts, whoever waits for it; or nil
	reqCtx   context.Context             // of the request, which a leg may outlast
}

// run makes legs until the exchange ends, and returns the answer that is the caller's. reqCtx is
// that of the request, which ctx may outlast.
func (d *driver) run(ctx, reqCtx context.Context) (*http.Response, error) {
	d.reqCtx = reqCtx
	d.inside = d.inside || isCallback(ctx, d.p.state)
	return d.loop(ctx, stepBegin)
}

func (d *driver) loop(ctx context.Context, next step) (resp *http.Response, err error) {
	ended := false
	defer func() {
		if !ended { // a callback of the program has panicked
			d.abort()
		}
	}()
	for err == nil {
		if d.detached && d.reqCtx.Err() != nil && next != stepContinue && next != stepRefused {
			err = context.Cause(d.reqCtx)
			break
		}
		switch next {
		case stepBegin:
			next, err = d.begin(ctx)
		case stepAsk:
			next, err = d.ask(ctx)
		case stepChoose:
			next, err = d.pick(ctx)
		case stepAuthorize:
			if !d.detached && d.reqCtx == ctx && d.mustFinish() {
				ended = true
				return d.detach(ctx, next)
			}
			next, err = d.authorize(ctx)
		case stepContinue:
			next, err = d.proceed(ctx)
		case stepRenew:
			next, err = d.renew(ctx)
		case stepRefused:
			next, err = d.refusal(ctx)
		case stepPass:
			ended = true
			d.end(true)
			return d.last, nil
		case stepFail:
			err = d.failure()
		}
	}
	ended = true
	d.end(false)
	return nil, err
}

// end gives back what the exchange holds.
func (d *driver) end(passed bool) {
	d.path.end(passed)
	if d.shown && d.turn.Tentative() {
		d.turn.Done(lockout.Lost) // the caller left before the authorization was repeated
	}
	d.turn.Done(lockout.Unsent)
	d.closeSession()
	if d.leave != nil {
		d.leave()
	}
}

// begin decides what the first leg is.
func (d *driver) begin(ctx context.Context) (step, error) {
	p := d.p
	l, exempt, unanswered := p.knownFor(d.host)
	d.exempt, d.unanswered = exempt && !d.inside, unanswered
	if d.inside || d.exempt {
		return stepAsk, nil
	}
	if l != nil && l.expired() && l.binds() && d.path.ride(l) {
		d.login = l // nothing that has expired is sent
		return d.send(ctx, riding, "")
	}
	l, err := p.usable(d.reqCtx, l)
	settled := d.takeTrusted(l) || l.settled()
	if err == nil && !settled {
		if d.leave = p.enter(d.reqCtx); d.leave == nil {
			l, err = p.usable(d.reqCtx, p.current())
			settled = l.settled()
		}
	}
	switch {
	case err != nil:
		return stepFail, err
	case d.reqCtx.Err() != nil:
		return stepFail, context.Cause(d.reqCtx)
	case l == nil && d.leave != nil && p.rules.preemptive:
		return d.guess(ctx)
	case l == nil:
		return stepAsk, nil
	}
	d.login = l
	switch {
	case l.binds() && d.path.ride(l):
		return d.send(ctx, riding, "")
	case settled:
		return stepAuthorize, nil
	}
	return stepAsk, nil
}

// ask sends a leg without authorization.
func (d *driver) ask(ctx context.Context) (step, error) {
	d.closeSession()
	d.returnTurn()
	if _, err := d.path.connect(ctx, nil, d.fresh); err != nil {
		return stepFail, err
	}
	return d.send(ctx, asking, "")
}

// pick chooses a login for the challenges at hand.
func (d *driver) pick(ctx context.Context) (step, error) {
	switch {
	case d.preauthorized:
		return stepPass, nil
	case d.inside:
		return d.fail(CauseNoCredentials, errInside), nil
	case d.heldErr != nil:
		return d.heldBack(), nil
	case len(d.challenges) == 0 && d.last == nil:
		return stepAsk, nil // what was known from before can't be used
	case len(d.challenges) == 0 && d.answers > 0:
		return d.failFor(CauseCredentialsRejected, ErrRejected, false), nil
	case len(d.challenges) == 0 && d.malformed != nil:
		return d.fail(CauseMalformedChallenge, d.malformed), nil
	case len(d.challenges) == 0 && len(d.failures) == 0:
		return d.fail(CauseNoChallenge, nil), nil
	}
	d.closeSession()
	d.returnTurn()
	d.path.pause()
	l, err := d.choose(d.reqCtx)
	if err != nil {
		return stepFail, err
	}
	d.login, d.anew = l, true
	return stepAuthorize, nil
}

// authorize sends a leg with an authorization, or one over a connection that needs none.
func (d *driver) authorize(ctx context.Context) (step, error) {
	if d.anew {
		d.closeSession()
	}
	if d.turn != nil && !d.turn.Tentative() && d.turns > 0 && d.login.secret.State() != lockout.Trusted {
		d.returnTurn() // the secret is in doubt meanwhile
	}
	if d.session == nil && !d.login.expectsTicket() {
		if next, err := d.takeTurn(); next != stepAuthorize || err != nil {
			return next, err
		}
	}
	l := d.login
	if d.handshaking() && !d.path.alive() {
		return d.breakOff(d.closed()), nil
	}
	authenticated, err := d.path.connect(ctx, l, d.fresh)
	switch {
	case err != nil:
		return stepFail, err
	case authenticated:
		return d.send(ctx, riding, "")
	case d.session == nil:
		if next, ok := d.open(ctx); !ok {
			return next, d.requestErr()
		}
	}
	a, err := d.session.Authorization(ctx, d.path.target())
	switch {
	case err != nil:
		return d.cannot(err)
	case l.expired():
		next := d.outlived()
		d.left(next)
		return next, nil
	case hasControls(a.Value):
		return d.exclude(l.rank, errors.New("proxyauth: authorization with control characters"), true), nil
	case d.weaker(a):
		return d.fail(CausePolicyForbids, errors.Join(errDowngrade, a.Fallback)), nil
	case !a.Ticket && d.turn == nil && d.turns == 0:
		// What could have been a ticket is a secret after all.
		d.closeSession()
		d.anew = true
		d.path.pause()
		return d.takeTurn()
	case !a.Ticket && d.turn == nil:
		// The handshake goes on with a secret, where it need not wait for a turn, or has a
		// connection of its own.
		if next, err := d.acquire(); next != stepAuthorize || err != nil || d.login != l || !d.path.alive() {
			d.anew, d.fresh = true, true // it is left
			d.left(next)
			return next, err
		}
	}
	if d.turn.Revoked() { // another request was answered while this one waited for its connection
		d.fresh = d.handshaking()
		d.left(stepChoose)
		return stepChoose, nil
	}
	d.auth = a
	if a.ChannelBound {
		d.p.channelBound.Store(true)
	}
	if a.Ticket {
		d.returnTurn()
	}
	d.authorized(a)
	return d.send(ctx, d.phase, a.Value)
}

// renew replaces the credentials, which have expired.
func (d *driver) renew(ctx context.Context) (step, error) {
	d.closeSession()
	d.returnTurn()
	d.path.pause()
	next, err := d.p.renewal(d.reqCtx, d.login)
	switch {
	case d.reqCtx.Err() != nil:
		return stepFail, context.Cause(d.reqCtx)
	case err != nil:
		d.p.drop(d.login)
		next := d.exclude(d.login.rank, err, true)
		if !kindOf(err).is(noCredentials | forbidden) {
			next = d.fail(CauseNoCredentials, nil)
		}
		return next, nil
	}
	d.login = next
	return stepAuthorize, nil
}

// open begins a session.
func (d *driver) open(ctx context.Context) (next step, ok bool) {
	own := d.own(d.login.scheme)
	ex := d.terms(d.login, own)
	s, err := d.login.scheme.NewSession(ctx, ex)
	if err != nil {
		next, _ := d.cannot(err)
		return next, false
	}
	_, continues := s.(Continuer)
	d.session = s
	d.began(d.login.rank, len(own) > 0, continues)
	if ex.Accepted == nil {
		d.p.count.handshakes.Add(1)
	}
	return stepAuthorize, true
}

// terms says what a session of l is about to authenticate.
func (d *driver) terms(l *login, own []Challenge) Exchange {
	ex := d.path.terms()
	ex.Proxy, ex.Credentials, ex.Challenges = d.p.url, l.creds, own
	ex.Named = d.p.rules.allowProxy != nil // which was asked for the login
	d.p.mu.Lock()
	if ex.TLS == nil {
		ex.TLS = d.p.lastTLS
	}
	if ex.Accepted == nil {
		ex.Accepted = l.session
	}
	d.p.mu.Unlock()
	return ex
}

// cannot takes an error of a scheme.
func (d *driver) cannot(err error) (step, error) {
	kind := kindOf(err)
	switch {
	case d.reqCtx.Err() != nil:
		return stepFail, context.Cause(d.reqCtx)
	case kind.is(challengeRequired):
		d.anew = true
		if d.phase == asking && d.legs > 0 {
			return d.exclude(d.login.rank, err, false), nil
		}
		return stepAsk, nil
	case kind.is(bodyNotReplayable):
		return d.fail(CauseBodyNotReplayable, err), nil
	case kind.is(heldBack):
		return d.failFor(CauseHeldBack, err, true), nil
	case kind.is(rejected) && !d.login.tickets: // by a KDC
		d.returnTurn()
		return d.reject(err), nil
	}
	d.p.drop(d.login)
	return d.exclude(d.login.rank, err, !kind.is(unsupported)), nil
}

func (d *driver) requestErr() error {
	if d.reqCtx.Err() != nil {
		return context.Cause(d.reqCtx)
	}
	return nil
}

// send sends a leg and takes the answer.
func (d *driver) send(ctx context.Context, ph phase, authorization string) (step, error) {
	if ph == asking || ph == riding {
		d.sent(ph)
	}
	if (d.phase == starting || d.phase == completing) && !d.auth.Ticket {
		d.turn.Sent()
	}
	d.added = d.path.adds()
	d.leg = d.legInfo()
	start := d.p.trace.legSent(ctx, d.leg)
	if d.detached && (d.phase == starting || d.phase == completing && d.turn.Tentative()) {
		d.underWay.Store(&legUnderWay{d.phase, d.turn})
		defer d.underWay.Store(nil)
	}
	resp, l := d.path.send(ctx, authorization)
	d.shown = d.shown || d.phase == completing && !d.ticket && !l.unsent
	d.p.trace.legAnswered(ctx, d.leg, start, resp, l.err)
	if l.err == nil || !l.unsent && !l.final {
		d.p.count.legs.Add(1)
	}
	if l.err != nil {
		return d.lostLeg(ctx, l)
	}
	d.last = resp
	if resp.StatusCode == http.StatusProxyAuthRequired {
		next := d.challenge(ctx, resp)
		if len(d.challenges) == 0 && d.malformed == nil {
			if other, err, ok := d.turnedDown(ctx, resp.StatusCode); ok {
				return other, err
			}
		}
		return next, nil
	}
	return d.answer(ctx, resp)
}

// lostLeg takes a leg without an answer.
func (d *driver) lostLeg(ctx context.Context, l loss) (step, error) {
	if ctx.Err() != nil {
		d.settleLost(l)
		return stepFail, context.Cause(ctx)
	}
	if l.own {
		d.settleLost(l)
		d.ownFault = true
		return stepFail, l.err
	}
	if !l.final {
		d.last = nil // that was the answer to another leg
	}
	if d.phase == completing && d.ticket && !l.unsent && !l.final {
		d.login.goesOn.Store(true) // perhaps, before it had read the body
	}
	next := d.lost(l)
	if l.gaveUp && !d.turn.Tentative() { // as where the caller leaves
		d.outcome = lockout.Unsent
	}
	d.left(next)
	d.settle()
	if !l.unsent && !l.race {
		if other, err, ok := d.turnedDown(ctx, 0); ok {
			return other, err
		}
	}
	return next, nil
}

// challenge takes a 407.
func (d *driver) challenge(ctx context.Context, resp *http.Response) step {
	d.challenges, d.malformed = ParseChallenges(resp.Header)
	d.p.count.challenges.Add(1)
	d.p.trace.challenged(ctx, d.leg, resp, d.offered)
	if d.phase == asking || d.phase == riding {
		d.offer = d.challenges
		if !d.inside {
			d.p.asked(d.host, d.ranks())
		}
		if d.path.wasProbed() && !d.added {
			d.p.challengeUnprobed(d.host, d.challenges)
		}
	} else {
		d.p.offered(d.ranks())
	}
	own := d.login != nil && len(d.own(d.login.scheme)) > 0
	next := d.challenged(own, len(d.challenges) == 0)
	d.left(next)
	d.settle()
	return next
}

// left restores what the proxy offers, where a handshake is left: its 407 names what
// continues it.
func (d *driver) left(next step) {
	handshake := d.login != nil && d.login.props.BindsConnection && (d.phase == starting || d.phase == completing)
	if handshake && next != stepContinue && (d.offer != nil || next == stepAuthorize && d.anew) {
		d.challenges = d.offer
	}
}

// proceed shows the session the challenges at hand.
func (d *driver) proceed(ctx context.Context) (step, error) {
	n, err := d.session.(Continuer).Continue(ctx, d.own(d.login.scheme))
	if err != nil && d.reqCtx.Err() != nil {
		return stepFail, context.Cause(d.reqCtx)
	}
	if d.phase == completing && (d.ticket || n == GoOn && err == nil) {
		d.login.goesOn.Store(true)
	}
	if n == Broken {
		err = errors.Join(err, d.malformed) // what the session missed may be there
	}
	next := d.continued(n, err)
	d.fresh = d.fresh || d.anew && d.login.props.BindsConnection // squid takes no other scheme on this one
	if d.anew || next == stepRefused {
		d.left(next)
	}
	d.settle()
	return next, nil
}

// answer takes an answer that is not a 407.
func (d *driver) answer(ctx context.Context, resp *http.Response) (step, error) {
	if v, ok := d.session.(Verifier); ok && d.phase != asking {
		if err := v.Verify(resp); err != nil {
			d.turn.Done(lockout.NoVerdict)
			d.path.abandon(resp)
			d.path.pause()
			return d.fail(CauseProxyNotVerified, err), nil
		}
	}
	if next, err, ok := d.turnedDown(ctx, resp.StatusCode); ok {
		return next, err
	}
	inRealm := d.inRealm(resp)
	next := d.answered(resp.StatusCode, inRealm)
	switch {
	case d.inside:
	case d.phase == asking:
		d.passedBy(resp)
	case d.phase == starting:
		d.path.bind(nil)
		d.passedBy(resp)
	case d.phase == completing:
		d.path.bind(d.login)
	}
	if inRealm && d.turn.MaybeRefused() {
		d.turn.Done(lockout.Refused)
		if !d.login.secret.WasAccepted() && d.p.showRefusal(d.login.creds) {
			d.tellRefused(d.login, ErrRejected)
		}
	}
	d.settle()
	if next == stepPass && d.added {
		next = d.probed(resp)
	}
	return next, nil
}

// handshaking reports whether the session is in the middle of a handshake.
func (d *driver) handshaking() bool {
	return d.session != nil && d.turns > 0 && !d.anew && d.login.props.BindsConnection
}

func (d *driver) closeSession() {
	closeSession(d.session)
	d.session = nil
}
