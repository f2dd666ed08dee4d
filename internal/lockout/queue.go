package lockout

import (
	"container/list"
	"context"
	"time"
)

// A waiter is a request that asks for a turn.
type waiter struct {
	name     string // of the target
	deadline time.Time
	ready    chan struct{} // closed once turn or err is set
	turn     *Turn
	err      error
	at       *target
	element  *list.Element // in at.waiters; nil once decided
}

// trusted reports whether the secret may be sent for a target without a limit.
func (s *secret) trusted(name string) bool {
	at := s.targets[name]
	return s.level == Trusted && (at == nil || at.deniedFor == 0)
}

// newTurn returns a turn without a limit.
func (s *secret) newTurn(name string) Turn {
	return Turn{s: s, name: name, epoch: s.epoch, losses: s.lossEvents, trusts: s.trusts}
}

// admit decides on w, if that is possible now: it sets w.turn or w.err.
func (s *secret) admit(w *waiter, now time.Time) bool {
	if at := s.targets[w.name]; at != nil && at.deniedUntil.After(now) {
		w.err = &HeldError{ReasonDenied, at.deniedUntil}
		return true
	}
	if s.level == Trusted {
		w.turn = new(s.newTurn(w.name))
		return true
	}
	if w.err = s.certain(w); w.err != nil {
		return true
	}
	if s.notBeforeAt(s.targets[w.name]).After(now) || s.underWay >= s.window || !s.account.admits(s) || !s.pair.admits(s) {
		return false
	}
	w.turn = new(s.newTurn(w.name))
	w.turn.first, w.turn.again = !s.tried, s.level == Barred
	w.turn.at = s.target(w.name)
	w.turn.at.underWay++
	w.turn.slow = time.AfterFunc(slow, w.turn.unanswered)
	s.setUnderWay(s.underWay + 1)
	return true
}

// certain returns the error for a request that can't get a turn before its deadline.
func (s *secret) certain(w *waiter) error {
	switch opens := s.notBeforeAt(s.targets[w.name]); {
	case s.final, s.level == Barred && w.name == s.refusedAt, s.pair.forbids(s):
		return &HeldError{Reason: ReasonRefused}
	case s.underWay > 0 || !opens.After(w.deadline):
		return nil
	case s.level == Barred:
		return &HeldError{ReasonRefused, opens}
	case !s.accepted:
		return &HeldError{ReasonPaused, opens}
	}
	return nil
}

// release takes back a turn that admit gave. One that was given before the secret became
// trusted is no longer counted: a doubt doesn't wait for it.
func (s *secret) release(t *Turn) {
	t.at.underWay--
	s.tidy(t.at)
	if t.trusts == s.trusts {
		s.setUnderWay(s.underWay - 1)
	}
}

func (s *secret) enqueue(w *waiter) {
	w.ready = make(chan struct{})
	w.at = s.target(w.name)
	w.element = w.at.waiters.PushBack(w)
	if w.at.queued == nil {
		w.at.queued = s.queue.PushBack(w.at)
	}
	if s.waiting++; s.waiting == 1 {
		s.queued, s.queuedInPair = s.account.waiting.PushBack(s), s.pair.waiting.PushBack(s)
	}
}

func (s *secret) dequeue(w *waiter) {
	w.at.waiters.Remove(w.element)
	w.element = nil
	if w.at.waiters.Len() == 0 {
		s.queue.Remove(w.at.queued)
		w.at.queued = nil
		s.tidy(w.at)
	}
	if s.waiting--; s.waiting == 0 {
		s.account.waiting.Remove(s.queued)
		s.pair.waiting.Remove(s.queuedInPair)
	}
}

// wait waits for the decision on w, the end of ctx or the deadline.
func (s *secret) wait(ctx context.Context, w *waiter) (*Turn, error) {
	timer := time.NewTimer(time.Until(w.deadline))
	defer timer.Stop()
	var ended error
	select {
	case <-w.ready:
	case <-timer.C:
	case <-ctx.Done():
		ended = context.Cause(ctx)
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if w.element == nil {
		return w.turn, w.err
	}
	s.dequeue(w)
	now := time.Now()
	s.arm(now)
	if ended == nil {
		ended = s.overdue(now)
	}
	return nil, ended
}

func (s *secret) overdue(now time.Time) error {
	switch opens := s.notBefore(); {
	case !opens.After(now):
		return &HeldError{ReasonBusy, now}
	case s.level == Barred:
		return &HeldError{ReasonRefused, opens}
	default:
		return &HeldError{ReasonPaused, opens}
	}
}

// try decides on w, if that is possible now, and wakes it.
func (s *secret) try(w *waiter, now time.Time) bool {
	if !s.admit(w, now) {
		return false
	}
	if w.at.queued != nil {
		s.queue.MoveToBack(w.at.queued) // the other targets first
	}
	s.dequeue(w)
	close(w.ready)
	return true
}

// decide decides on all requests for one target that it can decide on.
func (s *secret) decide(at *target, now time.Time) {
	for e := at.waiters.Front(); e != nil; {
		w := e.Value.(*waiter)
		e = e.Next()
		s.try(w, now)
	}
}

// grant gives turns, and errors, to the requests that wait.
func (s *secret) grant(now time.Time) {
	if s.level == Tentative && !s.notBefore().After(now) {
		for s.waiting > 0 && s.try(s.next(), now) {
		}
	} else {
		for e := s.queue.Front(); e != nil; {
			at := e.Value.(*target)
			e = e.Next()
			s.decide(at, now)
		}
	}
	s.arm(now)
}

// grantAll is grant, also for the other secrets of the same user, and for the same secret at
// other proxies.
func (s *secret) grantAll(now time.Time) {
	s.grant(now)
	for _, waiting := range []*list.List{&s.account.waiting, &s.pair.waiting} {
		for e := waiting.Front(); e != nil; {
			other := e.Value.(*secret)
			e = e.Next()
			if other != s {
				other.grant(now)
			}
		}
	}
}

// next returns the request whose turn it is: rather one for a target where nothing is
// under way and nothing was lost, and of these rather one for a target that has accepted
// the secret, since its answer settles a doubt.
func (s *secret) next() *waiter {
	first, best := s.queue.Front(), 0
	for e := first; e != nil && best < 2; e = e.Next() {
		switch at := e.Value.(*target); {
		case at.underWay > 0 || at.lost:
		case at.accepted:
			first, best = e, 2
		case best == 0:
			first, best = e, 1
		}
	}
	return first.Value.(*target).waiters.Front().Value.(*waiter)
}

// arm has grant called when the pause ends, if anything waits for that.
func (s *secret) arm(now time.Time) {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.waiting == 0 {
		return
	}
	opens := s.notBefore()
	if !opens.After(now) {
		opens = s.notBeforeAt(s.next().at)
	}
	if opens.After(now) {
		s.timer = time.AfterFunc(opens.Sub(now), func() {
			s.l.mu.Lock()
			defer s.l.mu.Unlock()
			s.grant(time.Now())
		})
	}
}
