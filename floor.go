package proxyauth

import (
	"errors"

	"github.com/go-proxyauth/proxyauth/internal/floor"
)

// howFailed returns how the scheme with a rank has failed.
func (d *driver) howFailed(rank int) floor.Failure {
	switch f := d.failed(rank); {
	case f == nil:
		return floor.None
	case f.local:
		return floor.Local
	case errors.Is(f.err, ErrUnsupportedChallenge), errors.Is(f.err, ErrChallengeRequired):
		return floor.Beyond
	}
	return floor.Peer
}

// floorForbids returns an error if the scheme with a rank is weaker than the site has
// offered or accepted.
func (d *driver) floorForbids(rank int) error {
	if d.p.rules.allowDowngrade {
		return nil
	}
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	scheme := d.p.schemes[rank]
	reveals := d.p.url.Scheme == "http" && properties(scheme).RevealsSecret
	if !d.p.floor.Forbids(rank, reveals, func(r int) bool { return len(d.own(d.p.schemes[r])) > 0 }, d.howFailed) {
		return nil
	}
	if d.rejected != nil { // by the stronger one
		d.failures = append(d.failures, failure{d.rejected.rank, ErrRejected, false})
		return d.error(CauseCredentialsRejected, nil)
	}
	if f := d.peerFailure(); f != nil {
		return d.error(CauseHandshakeBroken, nil)
	}
	return d.error(CausePolicyForbids, errDowngrade)
}

// peerFailure returns a failure that was the proxy's doing, nil if there is none.
func (d *driver) peerFailure() *failure {
	for i := range d.failures {
		if f := &d.failures[i]; !f.local && errors.Is(f.err, errBroken) {
			return f
		}
	}
	return nil
}

// weaker reports whether a is weaker than what the scheme has sent to the site before.
func (d *driver) weaker(a Authorization) bool {
	if d.p.rules.allowDowngrade {
		return false
	}
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	return d.p.floor.Weaker(d.login.rank, a.Strength, !a.Ticket && a.Fallback == nil, d.asked && !a.More)
}
