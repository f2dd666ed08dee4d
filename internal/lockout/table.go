package lockout

import (
	"cmp"
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

const (
	maxSecrets = 1 << 14
	maxTargets = 1 << 10 // of a secret
)

// A key is a keyed hash of parts of a Secret.
type key [sha256.Size]byte

func (l *Limiter) hash(parts ...string) (k key) {
	if l.seed == nil {
		l.seed = make([]byte, sha256.Size)
		_, _ = rand.Read(l.seed) // never fails
	}
	h := hmac.New(sha256.New, l.seed)
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	h.Sum(k[:0])
	return k
}

// An account is one user at one proxy, with any secret.
type account struct {
	key     key
	proxy   string
	secrets int       // of this account that are known
	busy    int       // of them, with a tentative turn under way
	waiting list.List // of secrets with waiters

	maybes  int // answers in a row that may be refusals
	refused int // different secrets in a row
	row     int // number of the row
	pause   time.Duration
	until   time.Time
}

func (a *account) accept() {
	a.maybes = 0
	if a.refused > 0 {
		a.refused, a.pause, a.until = 0, 0, time.Time{}
		a.row++
	}
}

func (a *account) refuse(s *secret, now time.Time) {
	if s.row == a.row {
		return
	}
	s.row = a.row
	if a.refused++; a.refused >= secretsInARow {
		a.pause = longer(a.pause)
		a.until = now.Add(a.pause)
	}
}

// admits reports whether s may have a turn beside the user's other secrets: no more
// of them at once than may be refused before the pauses begin.
func (a *account) admits(s *secret) bool {
	return s.underWay > 0 || a.busy < max(1, secretsInARow-a.refused)
}

// A pair is a user and a password, at any proxy.
type pair struct {
	key      key
	secrets  int // proxies at which it is known
	refused  int // proxies that refused it
	accepted bool
	trying   int       // proxies that are sent it, for at most 10 s
	waiting  list.List // of secrets with waiters
}

func (p *pair) refuse(s *secret) {
	if !s.inPair {
		s.inPair = true
		p.refused++
	}
}

// admits reports whether the proxy of s may be sent the secret beside others that are: no more
// of them at once than may refuse it.
func (p *pair) admits(s *secret) bool {
	return p.accepted || s.inPair || s.underWay > 0 || p.trying < maxProxies-p.refused
}

func (p *pair) forbids(s *secret) bool {
	return !p.accepted && p.refused >= maxProxies && !s.inPair
}

// record returns what is known of the handle's secret.
func (h *Handle) record() *secret {
	if h.s == nil || h.s.evicted {
		h.s = h.l.secrets[h.secret]
	}
	if h.s == nil {
		h.s = h.l.add(h)
	}
	h.l.clock++
	h.s.used = h.l.clock
	return h.s
}

// current returns what is known of the secret of s, which has been dropped.
func (s *secret) current() *secret {
	h := &Handle{l: s.l, proxy: s.account.proxy, secret: s.key, account: s.account.key, pair: s.pair.key}
	return h.record()
}

func (l *Limiter) add(h *Handle) *secret {
	if l.secrets == nil {
		l.secrets = make(map[key]*secret)
		l.accounts = make(map[key]*account)
		l.pairs = make(map[key]*pair)
	}
	evict(l.secrets, maxSecrets, secretValue, l.drop)
	a, p := l.accounts[h.account], l.pairs[h.pair]
	if a == nil {
		a = &account{key: h.account, proxy: h.proxy, row: 1}
		l.accounts[h.account] = a
	}
	if p == nil {
		p = &pair{key: h.pair}
		l.pairs[h.pair] = p
	}
	a.secrets++
	p.secrets++
	s := &secret{l: l, key: h.secret, account: a, pair: p, epoch: 1, targets: make(map[string]*target)}
	s.window = 1
	l.secrets[h.secret] = s
	return s
}

// drop forgets an idle secret.
func (l *Limiter) drop(k key, s *secret) {
	s.evicted = true
	delete(l.secrets, k)
	if s.account.secrets--; s.account.secrets == 0 {
		delete(l.accounts, s.account.key)
	}
	if s.pair.secrets--; s.pair.secrets == 0 {
		delete(l.pairs, s.pair.key)
	}
}

// target returns what is known of the secret at a target.
func (s *secret) target(name string) *target {
	at := s.targets[name]
	if at == nil {
		evict(s.targets, maxTargets, targetValue, func(name string, _ *target) { delete(s.targets, name) })
		at = &target{name: name}
		s.targets[name] = at
	}
	return at
}

// tidy forgets a target of which nothing is known.
func (s *secret) tidy(at *target) {
	if at.underWay == 0 && at.queued == nil && !at.accepted && at.passed == 0 && !at.lost && at.deniedFor == 0 {
		delete(s.targets, at.name)
	}
}

// secretValue orders secrets by what it costs to forget them: those in good order
// first, and of equal ones that which was used last.
func secretValue(s *secret) (value uint64, inUse bool) {
	if s.level != Trusted && (s.tried || s.accepted) {
		value = 1 << 63
	}
	return value + s.used, s.underWay > 0 || s.waiting > 0
}

func targetValue(at *target) (value uint64, inUse bool) {
	if at.deniedFor > 0 || at.lost {
		value = 1
	}
	return value, at.underWay > 0 || at.queued != nil
}

// evict drops the least valuable eighth of m if m is full.
func evict[K comparable, V any](m map[K]V, limit int, value func(V) (uint64, bool), drop func(K, V)) {
	if len(m) < limit {
		return
	}
	type entry struct {
		k     K
		value uint64
	}
	var idle []entry
	for k, v := range m {
		if value, inUse := value(v); !inUse {
			idle = append(idle, entry{k, value})
		}
	}
	slices.SortFunc(idle, func(a, b entry) int { return cmp.Compare(a.value, b.value) })
	for _, e := range idle[:min(len(idle), max(1, len(m)-limit+limit/8))] {
		drop(e.k, m[e.k])
	}
}
