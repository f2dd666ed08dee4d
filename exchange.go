package proxyauth

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

const (
	// maxLegs bounds the legs of one request at a proxy. NTLM takes three; three
	// times that leaves room for a stale nonce, a lost connection and another
	// scheme.
	maxLegs = 9

	// maxAnswers bounds the different credentials that one request may try:
	// directories lock accounts after three failures. It bounds also those that
	// expire before they are sent.
	maxAnswers = 3

	// maxBroken bounds how often one request begins a handshake that breaks
	// before anything is proved.
	maxBroken = 2

	// maxTickets bounds the tickets of one request that are refused.
	maxTickets = 2

	// maxRepeats bounds how often one request takes a new connection because the
	// one it had was closed in the same moment.
	maxRepeats = 3
)

// A phase is what the next leg of an exchange is for, or the one under way.
type phase int

const (
	asking     phase = iota // without authorization: the answer says what the proxy wants
	riding                  // without authorization, on an authenticated connection
	starting                // with an authorization that another leg must follow
	completing              // with an authorization that can complete the exchange
)

func (p phase) String() string { return [...]string{"asking", "riding", "starting", "completing"}[p] }

// A step is what an exchange does next.
type step int

const (
	stepBegin     step = iota // see what is known of the proxy
	stepAsk                   // send a leg without authorization
	stepChoose                // choose a login for the challenges at hand
	stepAuthorize             // send a leg with an authorization, of a new session if there is none
	stepContinue              // show the challenges at hand to the session
	stepRenew                 // replace the credentials, which have expired
	stepRefused               // the credentials are refused: see what the provider says
	stepPass                  // the answer is the caller's
	stepFail                  // the exchange ends with cause and err
)

func (s step) String() string {
	return [...]string{"begin", "ask", "choose", "authorize", "continue", "renew", "refused", "pass", "fail"}[s]
}

// An exchange decides what the legs of one request, or of one CONNECT, carry, and
// what their answers mean. It is told what happens and returns the next step; it
// neither sends nor waits, and its owner uses it from one goroutine at a time.
type exchange struct {
	phase   phase
	connect bool // the exchange is for a CONNECT

	rank int // of the scheme of the session

	// asked is set once the session answers a challenge of this exchange, and
	// continues if the session can be shown another.
	asked, continues bool

	// guessing is set if the session's scheme is opened though nothing is known of the
	// proxy.
	guessing bool

	// ticket is set if the last authorization put no secret at stake, and why is the
	// reason for which the scheme's last ticket was refused.
	ticket bool
	why    error

	// down is set once a CONNECT without authorization was turned down without a
	// challenge, and one with it follows.
	down bool

	// unsure is set if the request may have been read, so that only a challenge allows to
	// send it again.
	unsure bool

	// fresh asks for a new connection, and anew for a new session.
	fresh, anew bool

	legs    int // sent
	turns   int // authorizations of the session
	stale   int // how often the proxy has called what the session sent stale
	broken  int // handshakes
	tickets int // refused
	repeats int // legs sent again
	answers int // credentials refused
	expired int // credentials that could not be sent in time

	// outcome is what the last answer says of the authorization.
	outcome lockout.Outcome

	failures []failure // of schemes, in the order in which they were tried
	fallback error     // of the session's authorizations

	// cause and err are why the exchange fails.
	cause Cause
	err   error
}

// A failure is why a scheme is not tried any more.
type failure struct {
	rank     int // of the scheme
	err      error
	kind     kind  // of err
	local    bool  // nothing that the proxy did
	fallback error // why something stronger within the scheme was not tried, nil if it was
}

// A loss is how a leg ended without an answer.
type loss struct {
	unsent bool  // nothing was written
	race   bool  // the peer had closed the connection, which had served before
	safe   bool  // the request may be sent again though it may have been read
	added  bool  // the leg was one that the library adds
	probe  bool  // a probe can take the place of the request
	late   bool  // the leg's time has ended
	alien  Cause // if what came is not HTTP, what that is called
	final  bool  // there was no leg: err ends the exchange
	own    bool  // the program's request can't be written, or its body or hook has failed
	gaveUp bool  // Base waits no longer for the header of the answer
	err    error
}

var (
	errCircles   = errors.New("proxyauth: the exchange goes in circles")
	errStale     = errors.New("proxyauth: session expired, and the new one at once")
	errTooMany   = errors.New("proxyauth: too many challenges")
	errClosed    = errors.New("proxyauth: the proxy closed the connection")
	errHTTP10    = errors.New("proxyauth: the proxy speaks HTTP/1.0, and closed the connection")
	errBroken    = errors.New("proxyauth: handshake broken off")
	errOrigin407 = errors.New("proxyauth: the proxy has accepted the credentials, and the 407 is the origin server's")
)

// sent notes what the leg that is about to be sent is for.
func (x *exchange) sent(p phase) {
	x.phase, x.fresh, x.outcome = p, false, lockout.Unsent
	x.legs++
}

// began notes a new session, made with or without a challenge of this exchange.
func (x *exchange) began(rank int, asked, continues bool) {
	x.rank, x.asked, x.continues, x.anew, x.turns, x.fallback = rank, asked, continues, false, 0, nil
}

// authorized notes an authorization for the leg about to be sent.
func (x *exchange) authorized(a Authorization) {
	x.turns++
	x.ticket, x.fallback = a.Ticket, a.Fallback
	if a.More {
		x.sent(starting)
	} else {
		x.sent(completing)
	}
}

// challenged takes a 407. own reports whether there is a challenge for the scheme in
// use, and none that there is no challenge at all.
func (x *exchange) challenged(own, none bool) step {
	switch {
	case x.legs >= maxLegs:
		return x.circles(errTooMany)
	case x.phase == asking:
		return stepChoose
	case x.phase == riding && none: // an origin server's, out of which proxies take the challenge
		return x.fail(CauseNoChallenge, nil)
	case x.phase == riding:
		x.anew, x.fresh = true, true
		return stepChoose
	case !x.asked && none && (x.guessing || x.phase == starting):
		x.anew = true
		return stepAsk
	case x.down && none:
		return x.refused()
	case !x.asked && none: // an origin server's; three in a row put the secret in doubt
		x.outcome = lockout.Lost
		return x.fail(CauseNoChallenge, nil)
	case !x.asked && !own: // the scheme was a guess
		x.anew = true
		return stepChoose
	case x.phase == starting && !own && !none: // of something else
		return x.withdrawn()
	case x.continues:
		return stepContinue
	}
	return x.refused()
}

// withdrawn takes a handshake in which the proxy has offered other schemes: it is asked
// once more what it wants.
func (x *exchange) withdrawn() step {
	if x.breakOff(errBroken) == stepChoose {
		return stepChoose
	}
	return stepAsk
}

// continued takes what the session makes of the challenges that it was shown.
func (x *exchange) continued(n Next, err error) step {
	switch {
	case n == GoOn && err != nil:
		if x.phase == completing { // the proxy may have refused the secret
			x.outcome = lockout.Lost
		}
		return x.exclude(x.rank, err, false)
	case n == GoOn:
		x.asked = true
		return stepAuthorize
	case x.ticket && (n == Refused || n == Broken):
		return x.ticketRefused(n == Broken, err)
	case n == Complete:
		x.outcome = lockout.Accepted
		return x.fail(CauseNoChallenge, errOrigin407)
	case n == Stale:
		x.stale++
		if x.asked = true; x.stale > 1 {
			return x.circles(errStale)
		}
		return stepAuthorize
	case n == Refused:
		return x.refused()
	case x.phase == starting:
		return x.breakOff(cmp.Or(err, errBroken))
	case x.turns > 1:
		return x.breakOffAtEnd(cmp.Or(err, errCircles), true)
	}
	return x.circles(errCircles)
}

// refused takes a 407 that refuses the last authorization.
func (x *exchange) refused() step {
	switch {
	case x.phase == starting:
		return x.breakOff(errBroken)
	case !x.asked && x.continues && !x.down:
		x.anew = true // what was remembered may be out of date
		return stepAuthorize
	case x.ticket:
		return x.ticketRefused(false, nil)
	}
	x.outcome = lockout.Refused
	return stepRefused
}

// ticketRefused takes the refusal of a ticket, of which a fresh one takes the place, once.
// other reports whether a new session would try something else.
func (x *exchange) ticketRefused(other bool, err error) step {
	x.anew, x.fresh, x.why = true, true, cmp.Or(err, ErrRejected)
	if x.tickets++; x.tickets < maxTickets || other && x.tickets == maxTickets {
		return stepAuthorize
	}
	x.outcome = lockout.Refused
	return stepRefused
}

// outlived takes credentials that have expired before they could be sent.
func (x *exchange) outlived() step {
	x.anew, x.fresh = true, x.fresh || x.phase == starting
	if x.expired++; x.expired > maxAnswers {
		return x.exclude(x.rank, errExpired, false) // the proxy may have stalled
	}
	return stepRenew
}

// breakOff takes a handshake that broke before anything was proved.
func (x *exchange) breakOff(err error) step {
	x.anew, x.fresh = true, true
	if x.broken++; x.broken < maxBroken {
		return stepAuthorize
	}
	if x.why != nil { // what has taken the place of a ticket: the scheme's failure is the ticket's
		return stepRefused
	}
	return x.exclude(x.rank, fmt.Errorf("%w: %w", errBroken, err), false)
}

// breakOffAtEnd takes a handshake that broke when its last message had been sent: the
// proxy may have refused the secret. repeat reports whether the request may go out again.
func (x *exchange) breakOffAtEnd(err error, repeat bool) step {
	x.outcome = lockout.Lost
	x.anew, x.fresh = true, true
	x.err = err
	if x.broken++; repeat && x.broken < maxBroken {
		return stepAuthorize
	}
	x.note(x.rank, fmt.Errorf("%w: %w", errBroken, err), false)
	return x.fail(CauseHandshakeBroken, nil)
}

// circles ends an exchange that leads nowhere.
func (x *exchange) circles(err error) step {
	if x.phase == completing {
		x.outcome = lockout.Lost
	}
	return x.fail(CauseHandshakeBroken, err)
}

// exclude gives a scheme up for the rest of the exchange.
func (x *exchange) exclude(rank int, err error, local bool) step {
	x.note(rank, err, local)
	x.anew, x.why = true, nil
	return stepChoose
}

// note adds the failure of a scheme.
func (x *exchange) note(rank int, err error, local bool) {
	f := failure{rank: rank, err: err, kind: kindOf(err), local: local}
	if rank == x.rank {
		f.fallback = x.fallback
	}
	x.failures = append(x.failures, f)
}

func (x *exchange) fail(cause Cause, err error) step {
	x.cause, x.err = cause, err
	return stepFail
}

// answered takes an answer that is not a 407. inRealm reports whether it is a 401 in
// the realm of the proxy's own challenge.
func (x *exchange) answered(status int, inRealm bool) step {
	switch {
	case x.phase != completing:
		return stepPass
	case x.connect && status == http.StatusUnauthorized && (x.asked || x.down): // tinyproxy
		x.outcome = lockout.Refused
		return stepRefused
	case x.connect && status == http.StatusUnauthorized:
		x.anew, x.fresh = true, true
		return stepAsk
	case x.down && maybeForeign(status): // as before
		x.outcome = lockout.Lost
	case x.settlesNothing(status), inRealm, !x.asked && maybeForeign(status):
		x.outcome = lockout.NoVerdict
	case x.asked, x.down:
		x.outcome = lockout.Accepted
	default:
		x.outcome = lockout.AcceptedUnasked
	}
	return stepPass
}

// withheld takes a CONNECT that the proxy turns down where it carries no authorization, in
// place of a challenge.
func (x *exchange) withheld() step {
	x.down, x.anew, x.fresh = true, true, true
	return stepAuthorize
}

// settlesNothing reports whether an answer with status says nothing of credentials: the origin
// server or the proxy may not have looked at them. squid answers 431, and Apache 400, where the
// authorization makes the header too large; a forwarded 400 is far more often the origin server's.
func (x *exchange) settlesNothing(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusRequestHeaderFieldsTooLarge:
		return true
	case http.StatusBadRequest:
		return x.connect
	}
	return status/100 == 5
}

// maybeForeign reports whether something before the proxy may have answered with status
// to an authorization that nobody asked for.
func maybeForeign(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden
}

// lost takes a leg that has no answer.
func (x *exchange) lost(l loss) step {
	mid := x.turns > 1 && (x.phase == starting || x.phase == completing) // a handshake
	switch {
	case l.final:
		return x.fail("", l.err)
	case l.gaveUp:
		if x.phase == completing {
			x.outcome = lockout.Lost
		}
		return x.fail("", l.err)
	case l.unsent && mid:
		return x.breakOff(l.err)
	case (l.unsent || l.race && l.safe && !mid) && x.repeats < maxRepeats:
		x.repeats++
		x.anew, x.fresh = true, true
		return x.again()
	case x.phase == starting && l.late && !x.asked: // the host may be exempt, and slow
		x.broken++
		x.anew, x.fresh = true, true
		return stepAsk
	case x.phase == starting:
		return x.breakOff(l.err)
	case x.phase == completing && mid:
		return x.breakOffAtEnd(l.err, l.safe)
	case (x.phase == asking && (l.added || l.probe) || x.phase == completing && x.ticket && l.probe) && !l.late && x.repeats == 0:
		x.repeats++
		x.anew, x.fresh = true, true
		x.unsure, x.err = x.phase == asking && !l.safe, l.err
		return x.again()
	case x.phase == completing:
		x.outcome = lockout.Lost
	}
	switch {
	case l.alien != "" && x.legs == 1:
		return x.fail(l.alien, l.err)
	case mid:
		return x.fail(CauseHandshakeBroken, l.err)
	}
	return x.fail("", l.err)
}

// probePassed takes an answer other than a 407 to a leg in place of the request, which is
// next, unless it may have been read already.
func (x *exchange) probePassed() step {
	if x.unsure {
		return x.fail("", x.err)
	}
	return stepAsk
}

// again returns the step that sends the last leg again.
func (x *exchange) again() step {
	if x.phase == asking {
		return stepAsk
	}
	return stepAuthorize
}

// failed returns the failure of the scheme with a rank, nil if there is none.
func (x *exchange) failed(rank int) *failure {
	for i := range x.failures {
		if x.failures[i].rank == rank {
			return &x.failures[i]
		}
	}
	return nil
}
