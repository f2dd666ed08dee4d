package digest

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-proxyauth/proxyauth"
)

const (
	// maxNonces bounds the nonces whose count is known; the oldest go first.
	maxNonces = 256

	// youngAge is the age below which a nonce should not be stale, and the time
	// within which two such nonces make the proxy strict.
	youngAge = time.Minute

	// strictFor is how long the nonces of a strict proxy are not shared.
	strictFor = 10 * time.Minute
)

// A nonce is a nonce of the proxy and what depends on it alone. It does not
// change, but for the count and stale.
type nonce struct {
	*counter
	offer    offer // whose nonce this is
	ha1      proxyauth.Secret
	prefix   string // head of the authorization
	received time.Time
	stale    atomic.Bool // the proxy has said so
}

// A counter counts the requests with one nonce value. The cnonce serves as long as
// the nonce, so that the key of a -sess algorithm stays valid.
type counter struct {
	cnonce string
	count  atomic.Uint32
}

// shared is what sessions of the same credentials know together: nonces, and how
// the proxy treats them.
type shared struct {
	scheme      Scheme
	credentials proxyauth.Credentials
	newCnonce   func() string

	// The proxy has proved itself in answers to CONNECT, and in others.
	provesConnect, proves atomic.Bool

	mu       sync.Mutex
	current  *nonce                         // for the next session, nil if there is none
	counters map[[sha256.Size]byte]*counter // by the hash of the nonce value, which may be long
	order    [][sha256.Size]byte            // of counters, the oldest first
	youngAt  time.Time                      // when a young nonce was last called stale
	strict   time.Time                      // until when nonces are not shared
	idle     []*nonce                       // of a strict proxy, for one tunnel at a time; the one used last is last
}

func newShared(scheme Scheme, c proxyauth.Credentials, cnonce func() string) *shared {
	return &shared{scheme: scheme, credentials: c, newCnonce: cnonce, counters: make(map[[sha256.Size]byte]*counter)}
}

// serves reports whether the state is that of the scheme and credentials.
func (s *shared) serves(scheme Scheme, c proxyauth.Credentials) bool {
	return s.scheme == scheme && s.credentials.Username == c.Username &&
		s.credentials.Password.Reveal() == c.Password.Reveal()
}

// receive returns the nonce of an offer. Other sessions may use it once the proxy
// has accepted it: with a proxy that is strict, they would spoil it for this one.
func (s *shared) receive(o offer) *nonce {
	for _, text := range []*string{&o.realm, &o.nonce, &o.opaque, &o.named} {
		*text = strings.Clone(*text) // or the whole field would be kept
	}
	n := &nonce{counter: s.counter(o.nonce), offer: o, received: time.Now()}
	n.ha1 = s.ha1(n)
	n.prefix = s.head(n)
	return n
}

// counter returns the counter of a nonce value. A proxy may give the same nonce to
// all requests.
func (s *shared) counter(value string) *counter {
	key := sha256.Sum256([]byte(value))
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.counters[key]; c != nil {
		return c
	}
	if len(s.order) == maxNonces {
		delete(s.counters, s.order[0])
		s.order = s.order[1:]
	}
	c := &counter{cnonce: s.newCnonce()}
	s.counters[key] = c
	s.order = append(s.order, key)
	return c
}

// ha1 returns H(A1) of RFC 7616, Section 3.4.2. For -sess it is computed for each
// nonce, also one from a nextnonce: a proxy that keeps no state knows only the
// nonce and cnonce of the request.
func (s *shared) ha1(n *nonce) proxyauth.Secret {
	o := &n.offer
	key := o.algorithm.hash(s.credentials.Username, o.realm, s.credentials.Password.Reveal())
	if o.sess {
		key = o.algorithm.hash(key, o.nonce, n.cnonce)
	}
	return proxyauth.NewSecret(key)
}

// accept notes that the proxy has accepted n, or wants it next.
func (s *shared) accept(n *nonce) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !n.stale.Load() && (s.current == nil || !n.received.Before(s.current.received)) {
		s.current = n
	}
}

// reject notes that the proxy does not know n any more, and, if it was young, that
// the proxy may be strict: squid with nonce_strictness wants counts in order, and
// several machines behind one name may each know only their own nonces.
func (s *shared) reject(n *nonce) {
	if n.stale.Swap(true) {
		return // another session has noted it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == n {
		s.current = nil
	}
	now := time.Now()
	if now.Sub(n.received) >= youngAge {
		return
	}
	if s.suspects(now) {
		s.strict = now.Add(strictFor)
	}
	s.youngAt = now
}

// next returns the nonce for a new session that was given no challenge, or nil.
// own is that of the last session on its connection, or nil. What a strict proxy has
// given to a tunnel serves the next one, since a connection carries a CONNECT only once.
func (s *shared) next(own *nonce) *nonce {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.youngAt.IsZero() { // no young nonce was stale yet
		return s.current
	}
	now := time.Now()
	strict := now.Before(s.strict)
	switch {
	case !strict && !s.suspects(now):
		return s.current
	case own != nil && !own.stale.Load():
		return own
	}
	for len(s.idle) > 0 {
		last := len(s.idle) - 1
		n := s.idle[last]
		s.idle = s.idle[:last]
		if !n.stale.Load() {
			return n
		}
	}
	if strict {
		return nil
	}
	return s.current
}

// suspects reports whether the proxy may be strict: a young nonce was stale. All requests
// that were under way with that got nonces of their own, which need not be shared.
func (s *shared) suspects(now time.Time) bool {
	return !s.youngAt.IsZero() && now.Sub(s.youngAt) < youngAge
}

// release lets another tunnel use n, if the proxy is or may be strict.
func (s *shared) release(n *nonce) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !now.Before(s.strict) && !s.suspects(now) || slices.Contains(s.idle, n) {
		return
	}
	if len(s.idle) == maxNonces {
		s.idle = s.idle[1:]
	}
	s.idle = append(s.idle, n)
}
