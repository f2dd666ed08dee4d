package krb

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/lru"
)

const (
	// firstPause is for how long a secret is held back the first time that its proof brought
	// no ticket, though the KDC has not refused it. It is twice as long each further time, up
	// to maxPause: as long as most directories count failures.
	firstPause = 10 * time.Second
	maxPause   = 30 * time.Minute

	// firstRefusal and maxRefusal are the same for a secret that the KDC has refused: the
	// replica that was asked may not have known a new key yet, or an account is unlocked.
	firstRefusal = 30 * time.Minute
	maxRefusal   = 24 * time.Hour

	// maxRow is how many secrets of one principal may be refused in a row before others are
	// held back, for firstRowPause at first, and rowFactor times as long each further time,
	// up to maxPause. Those that are being proved count, since they may be refused.
	maxRow        = 3
	firstRowPause = time.Second
	rowFactor     = 4

	// maxPauses bounds the memory of secrets that are held back, and of principals. It is that
	// of the passwords that a Transport remembers.
	maxPauses = 1 << 14

	// proofTimeout bounds for how long a KDC is waited for that has been sent a
	// proof.
	proofTimeout = callTimeout
)

// An AS exchange ends with an error that wraps one of these if the secret is not to be proved
// again for a while.
var (
	errRefused       = errors.New("refused by the KDC")
	errSecretRefused = fmt.Errorf("password refused: %w", errRefused)

	errPaused     = errors.New("asked again after a pause")
	errSecretHeld = fmt.Errorf("password held back: %w", errPaused)
)

// Why a secret that nothing is known of is held back.
var (
	errRowRefused  = errors.New("so were others before, and what follows is held back for a while")
	errRowUnderWay = errors.New("others of the user are being proved")
)

// refused and paused return err with what it means for the secret.
func refused(err error) error { return fmt.Errorf("%w%w", err, silent{errRefused}) }
func paused(err error) error  { return fmt.Errorf("%w%w", err, silent{errPaused}) }

// verdictless reports whether err says nothing of the secret yet.
func verdictless(err error) bool { return !errors.Is(err, errRefused) && !errors.Is(err, errPaused) }

// A pause is for how long a secret is held back, and why.
type pause struct {
	err    error
	length time.Duration
	until  time.Time
}

// pauses is the memory of the secrets that are held back, and of the principals that no KDC
// knows. One that is over stays, since the next one is longer. The zero value is empty.
type pauses struct {
	mu    sync.Mutex
	known lru.Table[fingerprint, pause]
	rows  lru.Table[fingerprint, row] // by principal
}

// A row is what is known of the different secrets of a principal that were refused, one after
// the other.
type row struct {
	refused  int
	underWay int // being proved
	length   time.Duration
	until    time.Time
}

// enter lets a secret of a principal be proved, until leave is called, or returns until when
// it is held back, and why.
func (p *pauses) enter(owner fingerprint) (until time.Time, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, _ := p.rows.Get(owner)
	switch now := time.Now(); {
	case now.Before(r.until):
		return r.until, errRowRefused
	case r.underWay > 0 && r.refused+r.underWay >= maxRow:
		return now.Add(firstRowPause), errRowUnderWay
	}
	r.underWay++
	p.putRow(owner, r)
	return time.Time{}, nil
}

// leave ends what enter has begun.
func (p *pauses) leave(owner fingerprint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, found := p.rows.Get(owner); found { // not forgotten meanwhile
		r.underWay = max(0, r.underWay-1)
		p.putRow(owner, r)
	}
}

// putRow sets what is known of the secrets of a principal. The caller holds p.mu.
func (p *pauses) putRow(owner fingerprint, r row) {
	if r == (row{}) {
		p.rows.Delete(owner)
		return
	}
	p.rows.Max = maxPauses
	p.rows.Put(owner, r)
}

// refusedOf notes that another secret of a principal was refused.
func (p *pauses) refusedOf(owner fingerprint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, _ := p.rows.Get(owner)
	if r.refused++; r.refused >= maxRow {
		r.length = min(max(rowFactor*r.length, firstRowPause), maxPause)
		r.until = time.Now().Add(r.length)
	}
	p.putRow(owner, r)
}

// of returns why the secret is held back, and until when, or nil if it is not.
func (p *pauses) of(print fingerprint) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, _ := p.known.Get(print); time.Now().Before(known.until) {
		return known.err
	}
	return nil
}

// refused reports whether a KDC has refused the secret, however long ago, and none has said
// anything else since.
func (p *pauses) refused(print fingerprint) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Get(print)
	return errors.Is(known.err, errRefused)
}

// sending notes that the secret is about to be proved: for as long as that may
// take nobody else does, who gets err.
func (p *pauses) sending(print fingerprint, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Get(print)
	known.until = time.Now().Add(proofTimeout)
	known.err = heldUntil{err, known.until}
	p.put(print, known)
}

// add begins the pause that err says is due, and returns err with its end, unless the secret
// was refused.
func (p *pauses) add(print fingerprint, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, _ := p.known.Get(print)
	first, longest := firstPause, maxPause
	if errors.Is(err, errRefused) {
		first, longest = firstRefusal, maxRefusal
	}
	length := min(max(2*known.length, first), longest)
	until := time.Now().Add(length)
	if !errors.Is(err, errRefused) {
		err = heldUntil{err, until}
	}
	p.put(print, pause{err, length, until})
	return err
}

// put sets what is known of a secret. The caller holds p.mu.
func (p *pauses) put(print fingerprint, known pause) {
	p.known.Max = maxPauses
	p.known.Put(print, known)
}

// forget notes that the secret has brought a ticket, for its owner.
func (p *pauses) forget(print, owner fingerprint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known.Delete(print)
	p.known.Delete(owner)
	r, _ := p.rows.Get(owner)
	p.putRow(owner, row{underWay: r.underWay})
}
