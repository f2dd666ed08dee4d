package proxyauth

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/httpfield"
)

const (
	MaxProxies    = maxProxies
	MaxRejections = maxRejections
	MaxRefused    = maxRefused
	MaxAnswers    = maxAnswers
	MaxLegs       = maxLegs
	MaxBroken     = maxBroken
	Patience      = patience
	TokenLife     = tokenLife
	MaxRedials    = maxRedials
	MaxChallenges = httpfield.MaxChallenges
	MaxParams     = httpfield.MaxParams
	MaxHead       = maxHead
	MaxDrained    = maxDrained
	DrainPatience = drainPatience
)

// Rejections is the memory of refused credentials.
type Rejections struct{ rejections }

// Refuse remembers c as refused by the proxy, and reports whether that is news.
func (r *Rejections) Refuse(proxy string, c Credentials) bool { return r.add(r.fingerprint(proxy, c)) }

// Refused reports whether the proxy is known to have refused c.
func (r *Rejections) Refused(proxy string, c Credentials) bool {
	return r.has(r.fingerprint(proxy, c))
}

// Fingerprint returns what the memory keeps of c.
func (r *Rejections) Fingerprint(proxy string, c Credentials) [32]byte {
	return r.fingerprint(proxy, c)
}

// Clear is what Reset does to the memory.
func (r *Rejections) Clear() { r.clear() }

// Len returns how many refused credentials are remembered, in the two places.
func (r *Rejections) Len() (known, order int) { return len(r.known), len(r.order) }

// Lose notes a lost proof of each of n credentials at as many targets, then n of the
// first, and returns what is kept of that: the credentials, the targets of one, and the
// longest pause.
func Lose(n int) (known, targets int, pause time.Duration) {
	var s silences
	at := func(i int) (fp fingerprint) {
		binary.BigEndian.PutUint64(fp[:], uint64(i))
		return fp
	}
	for i := range n {
		s.add(at(i), "", lostPause)
	}
	for i := range n {
		s.add(at(n), strconv.Itoa(i), lostPause)
	}
	kept := s.known[at(n)]
	return len(s.known), len(kept.targets), kept.pause
}

// Free notes n hosts for which nothing is asked, and returns how many are kept.
func Free(n int) int {
	var h freeHosts
	for i := range n {
		h.add(strconv.Itoa(i))
	}
	return len(h.known)
}
