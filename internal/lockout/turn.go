package lockout

import (
	"fmt"
	"time"
)

// An Outcome is what became of a [Turn].
type Outcome int

const (
	// Unsent: no secret was sent. It changes nothing.
	Unsent Outcome = iota
	// Accepted: the proxy accepted an authorization that it had asked for. The
	// secret is trusted.
	Accepted
	// AcceptedUnasked: an authorization that the proxy had not asked for passed.
	// For a secret that isn't trusted it is as NoVerdict: the target may have been exempt,
	// even if it is challenged later.
	AcceptedUnasked
	// Refused by the proxy. A secret that was never accepted is not sent again, but
	// for one try at another target a minute later. Otherwise the target is denied
	// for a time, and a trusted secret is in doubt; the caller asks for newer
	// credentials before it reports that.
	Refused
	// NoVerdict: an answer that says nothing of the secret. More may be under way
	// at once.
	NoVerdict
	// Lost: no answer, or an exchange that went in circles. After a pause that grows
	// with each loss one is sent at a time; a trusted secret is in doubt after three in
	// a row.
	Lost
)

// A Turn is the right to send one authorization. The methods of a nil Turn do
// nothing. They are safe for concurrent use.
type Turn struct {
	s       *secret
	name    string  // of the target
	epoch   int     // of s when the turn was given
	losses  int     // s.lossEvents when the turn was given
	trusts  int     // s.trusts when the turn was given
	at      *target // nil for a turn without a limit
	first   bool
	again   bool // given to a barred secret
	widened bool
	done    bool
	slow    *time.Timer
}

// Tentative reports whether the secret was not trusted when the turn was given: it
// may be sent only in answer to a challenge of the same exchange, and the turn lasts
// until the answer, also when the request has ended.
func (t *Turn) Tentative() bool { return t != nil && t.at != nil }

// First reports whether the turn is tentative and the secret has not been sent since
// it became known or Reset: one that may be sent unasked, where the program wants it.
func (t *Turn) First() bool { return t != nil && t.first }

// Revoked reports whether the turn no longer holds: since it was given, the secret has been
// refused or, for a turn without a limit, is in doubt or was refused for the target. Give
// it back then, and send nothing.
func (t *Turn) Revoked() bool {
	if t == nil {
		return false
	}
	s := t.s
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if t.at != nil {
		return s.level == Barred && !t.again
	}
	at := s.targets[t.name]
	return s.level != Trusted || at != nil && at.deniedUntil.After(time.Now())
}

// Current reports whether the answer settles anything: the secret has not come into doubt or
// been forgotten since the turn was given.
func (t *Turn) Current() bool {
	if t == nil {
		return false
	}
	t.s.l.mu.Lock()
	defer t.s.l.mu.Unlock()
	return !t.s.evicted && t.epoch == t.s.epoch
}

// Sent says that an authorization that could complete the exchange goes out now. 10 s
// later others need not wait for its answer, as 10 s after the turn was given: the request may
// wait for a connection. It may be called again.
func (t *Turn) Sent() {
	if !t.Tentative() {
		return
	}
	t.s.l.mu.Lock()
	defer t.s.l.mu.Unlock()
	t.s.tried = true
	if !t.done && !t.widened {
		t.slow.Reset(slow)
	}
}

func (t *Turn) unanswered() {
	t.s.l.mu.Lock()
	defer t.s.l.mu.Unlock()
	if !t.done {
		t.s.widen(t)
		t.s.endTry()
		t.s.grantAll(time.Now())
	}
}

// Done ends the turn. Calls after the first do nothing.
func (t *Turn) Done(o Outcome) {
	if t == nil {
		return
	}
	s := t.s
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if t.done {
		return
	}
	t.done = true
	if t.at == nil && (o == Unsent || o == NoVerdict) {
		return
	}
	if s.evicted { // by Reset, which knows of no turn without a limit
		if o == Refused {
			s.current().deny(t.name, time.Now())
		}
		return
	}
	s.settle(t, o)
	if t.slow != nil {
		t.slow.Stop()
	}
	if t.at != nil {
		s.release(t)
	}
	if s.account.waiting.Len() > 0 || s.pair.waiting.Len() > 0 {
		s.grantAll(time.Now())
	}
}

// MaybeRefused notes an answer with which either the proxy or the origin server has refused,
// and reports whether it is the second in a row for the user, which is to be taken for a
// refusal by the proxy. It does not end the turn.
func (t *Turn) MaybeRefused() bool {
	if t == nil {
		return false
	}
	t.s.l.mu.Lock()
	defer t.s.l.mu.Unlock()
	a := t.s.account
	a.maybes++
	return a.maybes > 1
}

// A Reason says why there is no turn.
type Reason int

const (
	// ReasonRefused: the proxy refused the secret, or two other proxies did.
	ReasonRefused Reason = iota + 1
	// ReasonDenied: the proxy refused the secret for this target.
	ReasonDenied
	// ReasonPaused: after losses, or after three secrets of the user were refused.
	ReasonPaused
	// ReasonBusy: others that were under way got no answer in time.
	ReasonBusy
)

func (r Reason) String() string {
	switch r {
	case ReasonRefused:
		return "the secret was refused"
	case ReasonDenied:
		return "the secret was refused for this target"
	case ReasonPaused:
		return "the secret is not sent for a while, after lost or refused ones"
	case ReasonBusy:
		return "other requests with the secret wait for their answers"
	}
	return fmt.Sprintf("Reason(%d)", int(r))
}

// A HeldError says that there was no turn to send a secret.
type HeldError struct {
	Reason Reason
	// Until is when another try makes sense. Zero: not before [Limiter.Reset], or with
	// other credentials.
	Until time.Time
}

func (e *HeldError) Error() string { return "lockout: " + e.Reason.String() }
