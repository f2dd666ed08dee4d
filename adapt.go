package proxyauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A session is a [Session], with its last authorization.
type session struct {
	Session
	scheme Scheme
	last   Authorization
}

// How an exchange ends, other than with a failure of the scheme.
var (
	errSessionExpired  = errors.New("proxyauth: session expired")
	errComplete        = errors.New("proxyauth: exchange complete")
	errHandshakeBroken = errors.New("proxyauth: handshake broken off")
	errTicket          = errors.New("proxyauth: the proxy refuses the ticket")
)

// handshakes reports whether the exchange may take several legs.
func (s *session) handshakes() bool {
	if s == nil || !properties(s.scheme).BindsConnection {
		return false
	}
	_, ok := s.Session.(Continuer)
	return ok
}

// authorization returns the value for the next leg.
func (s *session) authorization(ctx context.Context, leg Leg) (string, error) {
	auth, err := s.Session.Authorization(ctx, leg)
	if err == nil {
		s.last = auth
	}
	return auth.Value, err
}

// proceed is Continue, with an error for each outcome but GoOn.
func (s *session) proceed(ctx context.Context, challenges []Challenge) error {
	next, err := Refused, error(nil)
	if c, ok := s.Session.(Continuer); ok {
		next, err = c.Continue(ctx, challenges)
	}
	switch next {
	case Refused:
		if s.last.Ticket {
			return cmp.Or(err, errTicket)
		}
		return because(ErrRejected, err, s.last.Fallback)
	case Stale:
		if slices.ContainsFunc(challenges, func(c Challenge) bool { return strings.EqualFold(c.Params["stale"], "true") }) {
			return errStaleOnce
		}
		return because(errSessionExpired, err, nil)
	case Broken:
		return because(errHandshakeBroken, err, s.last.Fallback)
	case Complete:
		return errComplete
	default:
		return err
	}
}

var errStaleOnce = errors.New("proxyauth: stale")

func because(outcome, why, fallback error) error {
	if why != nil {
		outcome = fmt.Errorf("%w: %w", outcome, why)
	}
	if fallback != nil && !errors.Is(why, fallback) {
		outcome = fmt.Errorf("%w; %w", outcome, fallback)
	}
	return outcome
}
