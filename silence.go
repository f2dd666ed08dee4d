package proxyauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Credentials that are not proved, and whose proof was lost, may have been
// refused: there are proxies that close the connection in place of an answer, and
// directories that take longer than the caller waits. Once may be chance. After
// that they are not sent again at once, but after a pause that is twice as long
// each time.
//
// Or it is the origin server that does not answer. A target at which a proof was lost
// waits for two pauses, which leaves one to every other: a program that asks a dead
// one again and again does not take all the turns there are.
const (
	// lostPause is the first pause where the connection was closed, leftPause
	// where nobody waited any longer.
	lostPause = 10 * time.Second
	leftPause = time.Second

	// maxPause is how long directories count failures, as a rule.
	maxPause = 30 * time.Minute

	// maxWait is the pause that a request waits for.
	maxWait = 5 * time.Second

	// maxSilences bounds the memory of lost proofs, and maxSilent that of the
	// targets of one.
	maxSilences = 1 << 12
	maxSilent   = 64
)

var (
	errProofLost = fmt.Errorf("%w, which may be the proxy's way to refuse the credentials", errUnanswered)
	errAnew      = errors.New("proxyauth: the handshake is of no use any more")
	errSilence   = errors.New("proxyauth: what proved the credentials was lost more than once; they are not sent again for a while, to spare the account")
)

// A silence is what is known of credentials whose proof was lost.
type silence struct {
	lost    int // times
	pause   time.Duration
	until   time.Time // when they may be sent again
	targets []string  // of what was lost
}

// left returns for how long the credentials are not to be sent to a target.
func (s silence) left(target string) time.Duration {
	until := s.until
	if slices.Contains(s.targets, target) {
		until = until.Add(s.pause)
	}
	return time.Until(until)
}

// silences are the ones of all credentials that are not proved. The zero value is
// empty.
type silences struct {
	mu    sync.Mutex
	known map[fingerprint]silence
}

// add notes that a proof was lost, where it was to go, and the first pause for that.
// It reports whether it is the first time.
func (s *silences) add(fp fingerprint, target string, pause time.Duration) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.known[fp]
	if !ok && len(s.known) >= maxSilences {
		s.shrink()
	}
	if s.known == nil {
		s.known = make(map[fingerprint]silence)
	}
	if !ok {
		pause = 0
	}
	for range before.lost - 1 {
		pause = min(2*pause, maxPause)
	}
	targets := before.targets
	if len(targets) < maxSilent && !slices.Contains(targets, target) {
		targets = append(targets, target)
	}
	s.known[fp] = silence{before.lost + 1, pause, time.Now().Add(pause), targets}
	return !ok
}

// has reports whether a proof was lost, and none answered since.
func (s *silences) has(fp fingerprint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.known[fp]
	return ok
}

// shrink makes room. The caller holds s.mu.
func (s *silences) shrink() {
	for fp, known := range s.known {
		if len(s.known) >= maxSilences || time.Now().After(known.until) {
			delete(s.known, fp)
		}
	}
}

// forget notes that a proof was answered.
func (s *silences) forget(fp fingerprint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, fp)
}

func (s *silences) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.known)
}

// wait waits until the credentials may be sent to a target. If that is far off, it is
// an error.
func (s *silences) wait(ctx context.Context, fp fingerprint, target string) error {
	s.mu.Lock()
	pause := s.known[fp].left(target)
	s.mu.Unlock()
	switch {
	case pause <= 0:
		return nil
	case pause > maxWait:
		return errSilence
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	caller := callerOf(ctx)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-caller.Done():
		return context.Cause(caller)
	}
}
