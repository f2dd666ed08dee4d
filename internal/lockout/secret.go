package lockout

import (
	"container/list"
	"time"
)

const (
	maxUnderWay   = 4 // of a secret that isn't trusted
	maxWait       = 15 * time.Second
	slow          = 10 * time.Second // without an answer
	firstPause    = time.Second
	pauseFactor   = 4
	maxPause      = 30 * time.Minute
	maxGrace      = 30 * time.Second // after a pause, for targets where nothing was lost
	firstDenial   = time.Minute
	secondTry     = time.Minute      // after the refusal of a secret that was never accepted
	refusedTry    = 30 * time.Minute // after that of one that was: accounts are unlocked
	doubtAfter    = 3                // losses in a row
	maxLeniency   = 8                // losses in a row
	maxRefusals   = maxUnderWay
	secretsInARow = 3 // of one user, refused
	maxProxies    = 2 // that refuse a secret which none accepts
)

// A secret is what a Limiter knows of one Secret. Its limit is counted in turns that
// were given while it wasn't trusted.
type secret struct {
	l       *Limiter
	key     key
	account *account
	pair    *pair
	used    uint64 // l.clock at the last use
	evicted bool   // no longer in l.secrets
	targets map[string]*target

	epoch    int // grows with each doubt and Reset; a turn of an older one settles nothing
	trusts   int // how often it became trusted
	underWay int // tentative turns since it was last trusted
	waiting  int
	queue    list.List     // of targets with waiters
	trying   bool          // counted in pair.trying
	queued   *list.Element // in account.waiting
	timer    *time.Timer   // for the end of a pause; nil if none

	queuedInPair *list.Element // in pair.waiting
	verdicts
}

// verdicts is what Reset forgets.
type verdicts struct {
	level      State
	accepted   bool   // it was trusted before
	tried      bool   // it was sent
	doubtAt    string // target that had accepted it and whose refusal began the doubt
	window     int    // how many may be under way
	losses     int    // in a row, since the last acceptance or doubt
	lossEvents int
	leniency   int // most losses in a row that were followed by an acceptance
	pause      time.Duration
	until      time.Time // no turn before
	refusals   int       // while never accepted
	refusedAt  string    // the target of the first
	final      bool      // refused, and not tried again
	row        int       // the row of its account that it was counted in
	inPair     bool      // counted as refused in its pair
}

type target struct {
	name        string
	accepted    bool
	passed      int // epoch in which an authorization passed unasked
	lost        bool
	underWay    int
	deniedFor   time.Duration // the last denial, while not accepted since
	deniedUntil time.Time
	waiters     list.List
	queued      *list.Element // in secret.queue
}

// settle records the outcome of t.
func (s *secret) settle(t *Turn, o Outcome) {
	current := t.epoch == s.epoch
	switch {
	case o == Refused:
		s.refuse(t, current, time.Now())
	case !current:
	case o == Accepted:
		s.accept(t.name)
	case o == AcceptedUnasked:
		s.pass(t)
	case o == NoVerdict:
		s.noVerdict(t)
	case o == Lost:
		s.lose(t, time.Now())
	}
}

func (s *secret) accept(name string) {
	at := s.target(name)
	at.accepted, at.lost, at.deniedFor, at.deniedUntil = true, false, 0, time.Time{}
	s.endLosses()
	s.account.accept()
	s.pair.accepted = true
	if s.level == Trusted {
		return
	}
	s.trusts++
	s.setUnderWay(0)
	s.level, s.accepted, s.final, s.window = Trusted, true, false, 1
	s.doubtAt, s.refusedAt, s.refusals = "", "", 0
	s.pause, s.until = 0, time.Time{}
}

func (s *secret) setUnderWay(n int) {
	s.account.busy += min(n, 1) - min(s.underWay, 1)
	switch {
	case n == 0:
		s.endTry()
	case s.underWay == 0 && !s.pair.accepted && !s.inPair:
		s.trying = true
		s.pair.trying++
	}
	s.underWay = n
}

// endTry lets another proxy be sent the same secret.
func (s *secret) endTry() {
	if s.trying {
		s.trying = false
		s.pair.trying--
	}
}

func (s *secret) endLosses() {
	s.leniency = max(s.leniency, min(s.losses, maxLeniency))
	s.losses = 0
}

// pass records that an authorization which nobody asked for passed: the target may be
// exempt.
func (s *secret) pass(t *Turn) {
	s.target(t.name).passed = s.epoch
	if s.level == Trusted {
		s.endLosses()
		s.account.maybes = 0
		return
	}
	s.noVerdict(t)
}

func (s *secret) noVerdict(t *Turn) {
	s.widen(t)
	s.postpone(t, time.Now())
}

// widen lets more be under way, once for each turn: twice as many or, of a secret that was
// accepted before, all that may be at once. (Doubled only, in a crawl where a tenth of the
// hosts is dead and another denied, two per cent of the other requests fail for want of a turn.)
func (s *secret) widen(t *Turn) {
	if t.at == nil || t.widened || s.level != Tentative || t.epoch != s.epoch {
		return
	}
	t.widened = true
	if s.accepted {
		s.window = max(1, maxUnderWay-max(0, s.losses-s.leniency))
	} else {
		s.window = max(1, min(2*s.window, maxUnderWay-s.losses))
	}
}

func (s *secret) lose(t *Turn, now time.Time) {
	// The account may have counted each; only for a secret that was right once is it
	// likelier that one fault ended all that were under way.
	if s.accepted {
		if t.losses != s.lossEvents {
			return
		}
		s.lossEvents++
	}
	if s.level == Trusted {
		if s.losses++; s.losses >= doubtAfter {
			s.doubt("")
		}
		return
	}
	if t.at != nil {
		t.at.lost = true
	}
	s.countLoss(now)
	s.postpone(t, now)
}

func (s *secret) countLoss(now time.Time) {
	s.losses++
	s.window = 1
	if s.accepted && s.losses <= s.leniency {
		return
	}
	s.pause = longer(s.pause)
	s.until = later(s.until, now.Add(s.pause))
}

func (s *secret) doubt(at string) {
	s.level, s.doubtAt, s.window, s.losses = Tentative, at, 1, 0
	s.epoch++
}

func (s *secret) refuse(t *Turn, current bool, now time.Time) {
	switch {
	case !current:
		s.deny(t.name, now)
	case !s.accepted:
		s.refuseNew(t, now)
	default:
		s.refuseOld(t, now)
	}
}

// refuseNew records the refusal of a secret that was never accepted. The target may
// be a forbidden one, so that another is tried once.
func (s *secret) refuseNew(t *Turn, now time.Time) {
	if s.refusals++; s.refusals == 1 {
		s.refusedAt = t.name
		s.until = later(s.until, now.Add(secondTry))
	}
	s.final = s.final || t.name != s.refusedAt || s.refusals >= maxRefusals
	s.bar(now)
}

// refuseOld records the refusal of a secret that was accepted before.
func (s *secret) refuseOld(t *Turn, now time.Time) {
	at := s.target(t.name)
	before, again := at.accepted || at.passed > 0, at.deniedFor > 0
	at.accepted, at.passed = false, 0
	s.deny(t.name, now)
	switch {
	case s.level == Barred:
		s.postpone(t, now)
	case s.level == Trusted && again: // nothing new: it was accepted elsewhere since
	case s.level == Trusted && before:
		s.doubt(t.name)
	case s.level == Trusted:
		s.doubt("")
	case before || t.name == s.doubtAt:
		s.until = later(s.until, now.Add(refusedTry))
		s.bar(now)
	default:
		s.countLoss(now)
	}
}

func (s *secret) bar(now time.Time) {
	s.level, s.window = Barred, 1
	s.account.refuse(s, now)
	s.pair.refuse(s)
}

// postpone puts off the next try of a secret that was refused.
func (s *secret) postpone(t *Turn, now time.Time) {
	if s.level != Barred || !t.again {
		return
	}
	try := secondTry
	if s.accepted {
		try = refusedTry
	}
	s.until = later(s.until, now.Add(try))
}

func (s *secret) deny(name string, now time.Time) {
	at := s.target(name)
	if at.deniedUntil.After(now) {
		return // it was under way together with the one that counts
	}
	at.deniedFor = min(max(firstDenial, 2*at.deniedFor), maxPause)
	at.deniedUntil = now.Add(at.deniedFor)
	s.decide(at, now)
}

// notBefore returns when the next tentative turn may be given.
func (s *secret) notBefore() time.Time { return later(s.until, s.account.until) }

// notBeforeAt returns when the next tentative turn for a target may be given. One whose
// last turn was lost leaves the end of the pause to others: a program may poll a dead host.
func (s *secret) notBeforeAt(at *target) time.Time {
	if at == nil || !at.lost || s.accepted {
		return s.notBefore()
	}
	return later(s.until.Add(min(s.pause, maxGrace)), s.account.until)
}

// forget is Reset for a secret that is in use.
func (s *secret) forget() {
	s.verdicts = verdicts{window: 1}
	s.epoch++
	for _, at := range s.targets {
		at.accepted, at.passed, at.lost, at.deniedFor, at.deniedUntil = false, 0, false, 0, time.Time{}
		s.tidy(at)
	}
}

func longer(pause time.Duration) time.Duration {
	return min(max(firstPause, pauseFactor*pause), maxPause)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
