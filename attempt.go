package proxyauth

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
)

const (
	// maxLegs bounds the legs of one request at a proxy. NTLM inside
	// Negotiate takes three; three times that leaves room for a nonce that
	// expires on the way, or a fallback.
	maxLegs = 9

	// maxAnswers bounds the different credentials that one request may try:
	// directories lock accounts after three failures.
	maxAnswers = 3

	// maxBroken bounds how often one request begins a handshake that was
	// broken off.
	maxBroken = 3
)

// An attempt is what one request does to be let through a proxy. It says what
// the next leg carries and is told the answer. begin makes it ready.
type attempt struct {
	p      *proxy
	op     string // for errors
	target string // for errors

	// onConn is set where the legs go over a connection of the attempt's
	// own, so that it can carry out the handshake of a scheme that binds it.
	onConn bool

	// single is set where no other method than the first may be chosen.
	single bool

	preempted bool // the method was chosen, if at all, before the proxy asked

	// within is set for a request that the provider makes while it is asked for
	// this proxy's credentials. It waits for nobody, and has none.
	within bool

	method  *method  // in use, nil while none is known
	session *session // of method, nil while not begun
	fresh   bool     // session answers a challenge of this attempt
	stale   bool     // session has been called stale
	sent    bool     // the last leg carried session's authorization
	astray  bool     // it went to a target for which the proxy may ask nothing
	flight  *flight  // held by this attempt, or nil

	last       *http.Response // the last 407, or what ended the attempt
	challenges []Challenge    // of last
	offer      []Challenge    // of the last 407 that was not part of a handshake

	legs, answers, broken int
	turns                 int32 // authorizations of session

	tried    []*SchemeError
	excluded []int // indices of schemes
}

// handshakes reports whether the session's exchange may take several legs.
func (a *attempt) handshakes() bool { return a.session.handshakes() }

// binds reports whether the method in use authenticates connections.
func (a *attempt) binds() bool { return a.method != nil && a.method.binds() }

// authorize returns the authorization that the next leg carries, empty for none.
// conn is the state of TLS to the proxy, if there is one that is known.
func (a *attempt) authorize(ctx context.Context, leg Leg, conn *tls.ConnectionState) (string, error) {
	for {
		if err := a.start(ctx, conn); err != nil {
			return "", err
		}
		a.legs++
		if a.sent = a.session != nil; !a.sent {
			return "", nil
		}
		if a.legs > 2*maxLegs {
			a.tried = append(a.tried, &SchemeError{a.method.scheme.Name(), errLapsed})
			return "", a.fail(CauseNoCredentials, nil) // they expire before they can be sent
		}
		if a.method.lapsed() {
			handshake := a.handshakes() && a.turns > 0
			a.session = nil
			if handshake {
				return "", errAnew
			}
			continue
		}
		v, err := a.session.authorization(ctx, leg)
		if err == nil && hasControls(v) {
			err = errors.New("proxyauth: authorization with control characters")
		}
		if err == nil && a.weakened() {
			return "", a.fail(CausePolicyForbids, errDowngrade)
		}
		if err == nil {
			a.turns++
			if again, err := a.mayProve(ctx); err != nil {
				return "", err
			} else if !again {
				return v, nil
			}
			continue
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if errors.Is(err, ErrBodyNotReplayable) {
			return "", a.fail(CauseBodyNotReplayable, err)
		}
		switch {
		case errors.Is(err, ErrHeldBack):
			return "", a.heldBack(a.method, err)
		case !errors.Is(err, ErrRejected):
			a.giveUp(a.method.index, err)
		default:
			if err := a.refused(ctx, err); err != nil {
				return "", err
			}
		}
	}
}

// challenged takes the 407 that answered the last leg. It returns nil if
// authorize may have something new to say.
func (a *attempt) challenged(ctx context.Context, resp *http.Response) error {
	challenges, malformed := ParseChallenges(resp.Header)
	a.last, a.challenges = resp, challenges
	if a.within {
		return a.fail(CauseNoCredentials, errWithin)
	}
	if len(challenges) == 0 {
		return a.unchallenged(ctx, malformed)
	}
	if a.legs >= maxLegs {
		return a.fail(CauseHandshakeBroken, errors.New("proxyauth: too many challenges"))
	}
	if !a.sent {
		a.session, a.offer = nil, challenges
		a.p.asked()
		return nil
	}
	a.noteAnswer()
	if (a.guessed() || !a.binds()) && len(a.own(a.method.scheme)) == 0 {
		// Not what the proxy speaks, and so nothing that it has refused.
		a.drop()
		return nil
	}
	return a.next(ctx, a.proceed(ctx))
}

// proceed asks the session to go on.
func (a *attempt) proceed(ctx context.Context) error {
	surprising := a.handshakes() && !a.session.last.More
	err := a.session.proceed(ctx, a.own(a.method.scheme))
	if errors.Is(err, errStaleOnce) {
		if err = nil; a.stale {
			err = errSessionExpired
		}
		a.stale = true
	}
	if err == nil && surprising {
		a.method.habit.wentOn(a.turns)
	}
	return err
}

var errAccepted = errors.New("proxyauth: the proxy has accepted the scheme before, and so no weaker one takes its place")

// next does what the outcome of a session's Continue asks for.
func (a *attempt) next(ctx context.Context, err error) error {
	switch {
	case err == nil:
		a.fresh = true
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ErrRejected):
		return a.refused(ctx, err)
	case errors.Is(err, errComplete):
		a.p.prove(ctx, a.method)
		a.shelve()
		return a.fail(CauseNoChallenge, errComplete)
	case errors.Is(err, errSessionExpired) && !a.fresh:
		a.p.doubt(a.method)
		a.session = nil
	case errors.Is(err, errSessionExpired):
		// As soon as the proxy has challenged: this goes in circles. It is no
		// refusal of the credentials, nor a reason to send them in a weaker scheme.
		a.tried = append(a.tried, &SchemeError{a.method.scheme.Name(), err})
		return a.fail(CauseHandshakeBroken, nil)
	case errors.Is(err, errHandshakeBroken) && a.broken+1 < maxBroken:
		a.broken++
		a.leave()
		a.session = nil
	case a.p.accepts(a.method):
		a.tried = append(a.tried, &SchemeError{a.method.scheme.Name(), err})
		return a.fail(a.verdict(), errAccepted)
	default:
		a.giveUp(a.method.index, err)
	}
	return nil
}

// refused notes that the credentials were refused in a complete attempt.
func (a *attempt) refused(ctx context.Context, why error) error {
	m := a.method
	if m.ambient {
		a.p.abandon(m)
		a.giveUp(m.index, why)
		return nil
	}
	a.p.refuse(ctx, m)
	a.p.refused.explain(m.print, why)
	a.method, a.session = nil, nil
	return a.another(m)
}

// another counts the credentials of m, which were refused. It returns nil if the
// attempt may try others.
func (a *attempt) another(m *method) error {
	if a.answers++; a.answers < maxAnswers && !a.single {
		return nil
	}
	a.tried = append(a.tried, &SchemeError{m.scheme.Name(), a.p.refused.why(m.print)})
	return a.fail(CauseCredentialsRejected, nil)
}

// rejected ends the attempt with a refusal of the credentials after which there is
// nothing more to answer.
func (a *attempt) rejected(ctx context.Context, err error) error {
	a.p.refuse(ctx, a.method)
	a.tried = append(a.tried, &SchemeError{a.method.scheme.Name(), ErrRejected})
	return a.fail(CauseCredentialsRejected, err)
}

// unchallenged takes a 407 that has no challenge.
func (a *attempt) unchallenged(ctx context.Context, malformed error) error {
	if a.sent && a.opens() {
		// Nothing has been proved yet that could be refused.
		return a.next(ctx, cmp.Or(malformed, errHandshakeBroken))
	}
	if a.sent {
		// If the proxy has accepted the credentials, this 407 may well come
		// from an origin server, out of which proxies take the challenge.
		if m, proved := a.p.current(); m == a.method && proved {
			a.shelve()
		} else {
			return a.rejected(ctx, malformed)
		}
	}
	if malformed != nil {
		return a.fail(CauseMalformedChallenge, malformed)
	}
	return a.fail(CauseNoChallenge, nil)
}

// accepted takes the answer to the last leg that is not a 407.
func (a *attempt) accepted(ctx context.Context, resp *http.Response) error {
	defer a.end()
	if !a.sent {
		a.p.passed()
		return nil
	}
	a.noteAnswer()
	if v, ok := a.session.Session.(Verifier); ok {
		if err := v.Verify(resp); err != nil {
			a.last = resp
			return a.fail(CauseProxyNotVerified, err)
		}
	}
	if !a.isProof(resp.StatusCode) {
		if !a.handshakes() {
			a.p.abandon(a.method) // the next request asks what the proxy wants
		}
		return nil
	}
	a.p.prove(ctx, a.method)
	if !a.method.binds() {
		a.p.checkIn(a.method, a.session)
	}
	return nil
}

// shelve puts the session aside for a leg that carries no authorization.
func (a *attempt) shelve() {
	if a.session != nil && !a.method.binds() {
		a.p.checkIn(a.method, a.session)
	}
	a.session, a.sent = nil, false
}

// guessed reports whether the session in use was begun though the proxy has never
// offered its scheme.
func (a *attempt) guessed() bool { return a.method.guess && !a.fresh && !a.p.accepts(a.method) }

// drop gives up a scheme that the proxy does not offer, or no longer.
func (a *attempt) drop() {
	a.p.abandon(a.method)
	a.method, a.session, a.sent = nil, nil, false
}

// giveUp notes that a scheme can't be carried out.
func (a *attempt) giveUp(index int, err error) {
	a.tried = append(a.tried, &SchemeError{a.p.schemes[index].Name(), err})
	a.excluded = append(a.excluded, index)
	a.leave()
	a.method, a.session, a.sent = nil, nil, false
}

// leave leaves a handshake, if one is under way: what the proxy has said to that is
// not what it offers.
func (a *attempt) leave() {
	if a.handshakes() && a.sent && len(a.own(a.method.scheme)) > 0 {
		a.challenges = a.offer
	}
}

// fail returns the error that ends the attempt.
func (a *attempt) fail(cause Cause, err error) *Error {
	e := &Error{Cause: cause, Op: a.op, Proxy: a.p.name, Target: a.target, Offered: a.offered(), Tried: a.tried, Err: err}
	for _, s := range a.p.schemes {
		e.Enabled = append(e.Enabled, s.Name())
	}
	if a.last != nil {
		header, body := a.last.Header, kept(a.last)
		e.Status = a.last.StatusCode
		e.answer = func() (http.Header, []byte) { return header, body }
	}
	return e
}

// offered returns the auth-schemes of the last 407.
func (a *attempt) offered() []string {
	return schemesOf(a.challenges)
}
