// Package floor keeps a site from getting a weaker scheme than it has offered or accepted
// before. Schemes have ranks, of which less is stronger.
package floor

// A Floor is what keeps a site from getting a weaker scheme, or a weaker algorithm of
// the same, than it has offered or accepted before. The zero value is for no schemes: New makes
// others. It may be used by one goroutine at a time; its owner has the mutex. A rank is less
// than the number of schemes, and not negative.
type Floor struct {
	offered   []bool // by the rank of the scheme
	strongest int    // least rank that was offered
	best      int    // least rank that was accepted
	strength  []int  // by rank: the most that was sent or accepted
	answered  []bool // by rank: the site's challenges could be answered here
}

// New returns the Floor of a site that has offered nothing, for a number of schemes.
func New(schemes int) Floor {
	return Floor{offered: make([]bool, schemes), strongest: schemes, best: schemes, strength: make([]int, schemes), answered: make([]bool, schemes)}
}

// Offer notes the ranks of the schemes in a challenge. What a site offers after it has
// accepted one adds nothing: an origin server's challenge may have been passed on.
func (f *Floor) Offer(ranks []int) {
	if f.best < len(f.offered) {
		return
	}
	for _, rank := range ranks {
		f.offered[rank] = true
		f.strongest = min(f.strongest, rank)
	}
}

// Accept notes that an authorization was accepted: that of the scheme with a rank, and its
// strength within the scheme, of which more is stronger.
func (f *Floor) Accept(rank, strength int) {
	f.best = min(f.best, rank)
	f.strength[rank] = max(f.strength[rank], strength)
}

// Forbids reports whether the scheme with a rank may not be used. Every stronger one that was
// offered or accepted must still be offered and have failed here, and through no doing of the
// site if it, or one stronger than it, was accepted. The functions answer for the challenge at
// hand. With reveals set, the secret would be readable on the wire: then the scheme stays
// forbidden once a stronger one was accepted.
func (f *Floor) Forbids(rank int, reveals bool, offered func(rank int) bool, failed func(rank int) Failure) bool {
	for r := range rank {
		if !f.offered[r] && r != f.best {
			continue
		}
		fail := failed(r)
		if fail == None || !offered(r) || fail != Local && (f.best <= r || f.answered[r] || fail != Beyond) {
			return true
		}
	}
	return f.best < rank && reveals
}

// Strongest returns the least rank that was offered; for none, the number of schemes.
func (f *Floor) Strongest() int { return f.strongest }

// Best returns the least rank that was accepted; for none, the number of schemes.
func (f *Floor) Best() int { return f.best }

// Weaker reports whether the scheme with a rank has sent or been accepted with more strength.
// If not, it notes the strength, provided that the site has asked for that one.
func (f *Floor) Weaker(rank, strength int, asked, answers bool) bool {
	if strength < f.strength[rank] {
		return true
	}
	if asked {
		f.strength[rank] = strength
		f.answered[rank] = f.answered[rank] || answers
	}
	return false
}

// A Failure is how a scheme has failed in an exchange. The zero value is None.
type Failure int

// The ways to fail.
const (
	None   Failure = iota // it has not
	Local                 // through no doing of the site
	Beyond                // it can't answer such challenges here, whoever sends them
	Peer                  // for what the site has answered
)
