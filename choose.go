package proxyauth

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"time"
)

// start sees to it that a session is begun, if one can be. It leaves none if the
// next leg is to ask the proxy what it wants.
func (a *attempt) start(ctx context.Context, conn *tls.ConnectionState) error {
	if a.session != nil || a.within {
		return nil
	}
	if had := a.flight != nil; a.method != nil && !a.holds() {
		if had {
			var err error
			if a.flight, err = a.p.takeOff(ctx, false); err != nil {
				return err
			}
		}
		// While it was under way, others may have found out better.
		if m, proved := a.p.current(); m != a.method || !proved && !had {
			a.method = nil
		}
	}
	if a.binds() && !a.onConn {
		return nil // begun where the connection is made
	}
	if a.method != nil && a.method.lapsed() {
		if err := a.renew(ctx); err != nil {
			return err
		}
		if a.single && !a.binds() {
			a.method = nil // of no use to a connection
		}
	}
	if a.method != nil {
		done, err := a.resume(ctx, conn)
		if done || err != nil {
			return err
		}
	}
	switch {
	case a.single && len(a.tried) == 0:
		// Which other one may be used is decided where the request is.
		return a.fail(CauseSchemeFailed, errMethodChanged)
	case a.single:
		return a.fail(a.verdict(), nil)
	case len(a.challenges) == 0:
		return a.preempt(ctx, conn)
	}
	return a.choose(ctx, conn)
}

// resume begins a session of the method in use. It reports whether that is
// settled: begun, or to be begun with a challenge that the proxy has yet to send.
func (a *attempt) resume(ctx context.Context, conn *tls.ConnectionState) (done bool, err error) {
	own := a.own(a.method.scheme)
	if len(own) == 0 {
		if len(a.challenges) > 0 {
			if a.single {
				return false, a.fail(CauseHandshakeBroken, errWithdrawn)
			}
			a.method = nil // no longer offered
			return false, nil
		}
	}
	var before *session
	if len(own) == 0 {
		before = a.p.checkOut(a.method)
	}
	if before != nil {
		if _, ok := before.Session.(Continuer); !ok {
			a.session, a.fresh = before, false
			return true, nil
		}
	}
	s, err := a.open(ctx, a.method, own, conn, before)
	switch {
	case err == nil && len(own) == 0 && a.p.lost.has(a.method.print) && !s.handshakes() && a.p.acceptedSession(a.method) == nil:
		return true, nil // to ask costs nothing if there is no answer to that either
	case err == nil:
		a.session, a.fresh = s, len(own) > 0
		if len(own) > 0 || a.p.acceptedSession(a.method) == nil {
			a.p.count.handshakes.Add(1)
		}
		return true, nil
	case errors.Is(err, ErrChallengeRequired) && len(own) == 0:
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(err, ErrRejected):
		return false, a.refused(ctx, err)
	case errors.Is(err, ErrHeldBack):
		return false, a.heldBack(a.method, err)
	}
	a.giveUp(a.method.index, err)
	return false, nil
}

// choose takes the strongest scheme that the last 407 offers and that can be
// begun, with credentials for it. From here to the proxy's answer to them, or
// where it finds that others have been faster, the attempt has the flight.
func (a *attempt) choose(ctx context.Context, conn *tls.ConnectionState) error {
	first := len(a.tried) == 0
	if !a.holds() {
		since := time.Now()
		f, err := a.p.takeOff(ctx, false)
		if err != nil {
			return err
		}
		if tried := a.p.triedSince(since); first && tried != nil {
			f.land()
			a.tried = tried
			return a.fail(a.verdict(), nil)
		}
		if m, proved := a.p.current(); proved && !m.lapsed() && !slices.Contains(a.excluded, m.index) && len(a.own(m.scheme)) > 0 {
			f.land()
			a.method = m
			if a.binds() && !a.onConn {
				return nil // as in start
			}
			if done, err := a.resume(ctx, conn); done || err != nil {
				return err
			}
			return a.choose(ctx, conn)
		}
		a.flight = f
	}
	for i, scheme := range a.p.schemes {
		if slices.Contains(a.excluded, i) || len(a.own(scheme)) == 0 {
			continue
		}
		if a.downgraded(i) {
			return a.fail(CausePolicyForbids, errDowngrade)
		}
		chosen, err := a.try(ctx, i, conn)
		if chosen || err != nil {
			return err
		}
	}
	if first {
		a.p.noteTried(a.tried)
	}
	a.noteOffered()
	return a.fail(a.verdict(), nil)
}

// try begins a session of a scheme, with credentials for it, and reports whether
// it could. An error ends the attempt.
func (a *attempt) try(ctx context.Context, index int, conn *tls.ConnectionState) (bool, error) {
	scheme := a.p.schemes[index]
	own := a.own(scheme)
	if err := a.p.permits(ctx, scheme); err != nil {
		a.giveUp(index, err)
		return false, nil
	}
	realm := ""
	if len(own) > 0 {
		realm = own[0].Params["realm"]
	}
	m, err := a.p.credentials(ctx, index, realm, len(own) == 0)
	var s *session
	if err == nil {
		s, err = a.open(ctx, m, own, conn, nil)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case m != nil && !m.ambient && errors.Is(err, ErrRejected):
		// A third party has refused them, such as a KDC.
		a.method = m
		if err := a.refused(ctx, err); err != nil {
			return false, err
		}
		return a.try(ctx, index, conn)
	case m != nil && !m.ambient && errors.Is(err, ErrHeldBack):
		return false, a.heldBack(m, err)
	case m != nil || errors.Is(err, ErrNoCredentials):
		a.giveUp(index, err)
		return false, nil
	default:
		return false, a.unsupplied(scheme, err)
	}
	a.p.choose(m)
	a.method = m
	if m.binds() && !a.onConn {
		return true, nil // as in start; this session has shown that it can be begun
	}
	a.session, a.fresh = s, len(own) > 0
	a.p.count.handshakes.Add(1)
	return true, nil
}

// heldBack ends the attempt with credentials that are not to be sent for a while,
// in no scheme.
func (a *attempt) heldBack(m *method, err error) error {
	a.tried = append(a.tried, &SchemeError{m.scheme.Name(), err})
	return a.fail(CauseSchemeFailed, nil)
}

// unsupplied ends the attempt for want of credentials that can be sent.
func (a *attempt) unsupplied(scheme Scheme, err error) error {
	a.tried = append(a.tried, &SchemeError{scheme.Name(), err})
	if errors.Is(err, ErrRejected) {
		return a.fail(CauseCredentialsRejected, nil)
	}
	return a.fail(CauseNoCredentials, nil)
}

func (a *attempt) open(ctx context.Context, m *method, own []Challenge, conn *tls.ConnectionState, before *session) (*session, error) {
	ex := Exchange{Proxy: a.p.url, Credentials: m.creds, Challenges: own, TLS: conn, Accepted: a.p.acceptedSession(m)}
	if before != nil {
		ex.Accepted, ex.AcceptedHere = before.Session, true // no other request uses it
	}
	s, err := m.scheme.NewSession(ctx, ex)
	if err != nil {
		return nil, err
	}
	a.turns, a.stale = 0, false
	return &session{Session: s, scheme: m.scheme}, nil
}

// own returns the challenges of the last 407 that are for scheme.
func (a *attempt) own(scheme Scheme) []Challenge {
	var own []Challenge
	for _, c := range a.challenges {
		if strings.EqualFold(c.Scheme, scheme.Name()) {
			own = append(own, c)
		}
	}
	return own
}

// verdict returns the cause where no scheme is left.
func (a *attempt) verdict() Cause {
	all := func(target error) bool {
		return !slices.ContainsFunc(a.tried, func(t *SchemeError) bool { return !errors.Is(t, target) })
	}
	switch {
	case slices.ContainsFunc(a.tried, func(t *SchemeError) bool { return errors.Is(t, ErrForbidden) }):
		return CausePolicyForbids
	case all(ErrUnsupportedChallenge): // or nothing in common at all
		return CauseNoCommonScheme
	case all(ErrNoCredentials):
		return CauseNoCredentials
	case errors.Is(a.tried[len(a.tried)-1], errHandshakeBroken):
		return CauseHandshakeBroken
	}
	return cmp.Or(schemeCause(a.tried), CauseSchemeFailed)
}
