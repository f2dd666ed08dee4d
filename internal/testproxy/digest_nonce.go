package testproxy

import (
	"crypto/rand"
	"sync"
	"time"
)

// maxNonces is how many nonces are remembered.
const maxNonces = 1 << 16

// A nonceStore holds the nonces that were issued.
type nonceStore struct {
	uses  int
	life  time.Duration
	check NonceCount

	shared bool // the last one is issued while it is good

	mu     sync.Mutex
	known  map[string]*nonce
	order  []string
	issued int
}

type nonce struct {
	born time.Time
	uses int
	last uint32          // nonce count
	seen map[uint32]bool // nonce counts, where each is good once
	dead bool
}

// A nonceState is what is known of a nonce when it is used.
type nonceState struct {
	good    bool // it may be used
	known   bool // it was issued here
	left    int  // uses
	limited bool // left counts
	old     bool // it has little of its life left
}

func (s nonceState) nearEnd(left int) bool { return s.limited && s.left <= left || s.old }

func (s *nonceStore) issue() string {
	text := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[string]*nonce)
	}
	if n := len(s.order); s.shared && n > 0 && s.alive(s.known[s.order[n-1]]) {
		return s.order[n-1]
	}
	if len(s.order) == maxNonces {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[text] = &nonce{born: time.Now(), seen: make(map[uint32]bool)}
	s.order = append(s.order, text)
	s.issued++
	return text
}

func (s *nonceStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued
}

func (s *nonceStore) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.known {
		n.dead = true
	}
}

// live reports whether the nonce may be used.
func (s *nonceStore) live(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.known[text]
	return n != nil && s.alive(n)
}

func (s *nonceStore) alive(n *nonce) bool {
	return !n.dead &&
		(s.uses == 0 || n.uses < s.uses) &&
		(s.life == 0 || time.Since(n.born) < s.life)
}

// use counts a use of the nonce. nc is zero without qop.
func (s *nonceStore) use(text string, nc uint32) nonceState {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.known[text]
	if n == nil || !s.alive(n) {
		return nonceState{known: n != nil}
	}
	if s.check == NonceCountOnce {
		again := n.seen[nc]
		n.seen[nc] = true
		n.uses++
		return nonceState{good: !again, known: true}
	}
	inOrder := nc == 0 || s.check == NonceCountOff || nc == n.last+1
	n.dead = !inOrder
	n.uses++
	n.last = nc
	return nonceState{
		good:    inOrder || s.check == NonceCountSquid,
		known:   true,
		left:    s.uses - n.uses,
		limited: s.uses > 0,
		old:     s.life > 0 && time.Since(n.born) > s.life-s.life/5,
	}
}
