package krb

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lru"
)

const (
	// firstPause is for how long a secret is held back the first time. It is
	// twice as long each further time, up to maxPause, which is how long
	// directories count failures, as a rule.
	firstPause = 10 * time.Second
	maxPause   = 30 * time.Minute

	// maxPauses bounds the memory of secrets that are held back.
	maxPauses = 1 << 12
)

// errPaused is wrapped by the error of an AS exchange after which the secret is
// held back for a while, though the KDC has not refused it; errSecretHeld if the
// secret is a password.
var (
	errPaused     = errors.New("asked again after a pause")
	errSecretHeld = fmt.Errorf("secret held back: %w", errPaused)
)

// A pause is for how long a secret is held back, and why.
type pause struct {
	err    error
	length time.Duration
	until  time.Time
}

// pauses is the memory of the secrets that are held back. One that is over
// stays, since the next one is longer. The zero value is empty.
type pauses struct {
	mu    sync.Mutex
	known lru.Table[fingerprint, pause]
}

// of returns why the secret is held back, and until when, or nil if it is not.
func (p *pauses) of(print fingerprint) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, _ := p.known.Get(print); time.Now().Before(known.until) {
		return heldUntil{known.err, known.until}
	}
	return nil
}

// prove notes that the secret is about to be proved: for as long as that may
// take nobody else does, who gets err.
func (p *pauses) prove(print fingerprint, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Get(print)
	known.err, known.until = err, time.Now().Add(proofTimeout)
	p.put(print, known)
}

// add begins a pause, and returns err with its end.
func (p *pauses) add(print fingerprint, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Get(print)
	length := min(max(2*known.length, firstPause), maxPause)
	until := time.Now().Add(length)
	p.put(print, pause{err, length, until})
	return heldUntil{err, until}
}

// put sets what is known of a secret. The caller holds p.mu.
func (p *pauses) put(print fingerprint, known pause) {
	p.known.Max = maxPauses
	p.known.Put(print, known)
}

// forget notes that the secret was answered.
func (p *pauses) forget(print fingerprint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known.Delete(print)
}

func (p *pauses) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known.Clear()
}
