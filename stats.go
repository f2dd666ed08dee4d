package proxyauth

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-proxyauth/proxyauth/internal/hint"
	"github.com/go-proxyauth/proxyauth/internal/lockout"
)

// ProxyStats counts what has happened at a proxy since the Transport was made. The
// numbers only grow, but for the last four, which are those of the moment.
type ProxyStats struct {
	// Proxy is the proxy's URL without user info, or "other" for all beyond
	// the first few thousand.
	Proxy string `json:"proxy"`

	// Requests counts forwarded requests and tunnels, those of callbacks
	// included, and Legs the legs for them, each when it is answered or has
	// failed. Forwarded requests with a Proxy-Authorization of the program's own
	// are not counted, nor is anything that belongs to them.
	Requests uint64 `json:"requests"`
	Legs     uint64 `json:"legs"`

	// Challenges counts the 407s, those in the middle of a handshake included.
	// Handshakes counts the sessions begun, but for those that share what an
	// accepted one has learned, as Digest shares its nonce. Rejections counts the
	// credentials refused, each once; where they had worked, and a target was
	// denied, the request counts in Failures alone.
	//
	// At a proxy that works, Challenges grow much more slowly than Legs; if they
	// don't, something at the proxy has changed.
	Challenges uint64 `json:"challenges"`
	Handshakes uint64 `json:"handshakes"`
	Rejections uint64 `json:"rejections"`

	// Failures counts the requests that did not get through, by [Error.Cause].
	// One whose context has ended does not count, nor does one of a callback.
	Failures map[Cause]uint64 `json:"failures"`

	// Waiting counts the requests that wait until their credentials may be sent: a
	// few at once try those that the proxy has not accepted yet. Of the credentials,
	// Doubted counts those that were accepted and have been refused or lost since,
	// Paused those that are not sent before a pause ends, since they got no answer,
	// and Refused those that are not sent, or rarely. They are those for the proxy's
	// host and port, whatever the scheme of its URL.
	Waiting int `json:"waiting"`
	Doubted int `json:"doubted"`
	Paused  int `json:"paused"`
	Refused int `json:"refused"`
}

// Stats returns a snapshot of the counters of all proxies, in the order of their
// URLs. The caller may keep and change it. It fits expvar.Func.
func (t *Transport) Stats() []ProxyStats {
	s, err := t.use()
	if err != nil {
		return nil
	}
	return s.stats.snapshot(s.secrets.Counts())
}

// maxStats bounds the proxies that are counted on their own.
const maxStats = 4 * maxProxies

// counters are those of one proxy. They outlive its entry in the table.
type counters struct {
	address string // of the proxy, "" for others

	requests, legs, challenges, handshakes, rejections atomic.Uint64

	mu       sync.Mutex
	failures map[Cause]uint64
}

// fail counts a request that ended with e.
func (c *counters) fail(e *Error) {
	if !hint.IsKnown(string(e.Cause)) { // a scheme may name a cause that is not known
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures == nil {
		c.failures = make(map[Cause]uint64)
	}
	c.failures[e.Cause]++
}

// failed returns a copy of the failures, which is not nil.
func (c *counters) failed() map[Cause]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	failures := make(map[Cause]uint64, len(c.failures))
	maps.Copy(failures, c.failures)
	return failures
}

// statistics holds the counters by the proxy's name. The zero value is empty.
type statistics struct {
	mu     sync.Mutex
	byName map[string]*counters
}

func (s *statistics) of(proxy, address string) *counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = make(map[string]*counters)
	}
	if s.byName[proxy] == nil && len(s.byName) >= maxStats {
		proxy, address = "other", ""
	}
	if s.byName[proxy] == nil {
		s.byName[proxy] = &counters{address: address}
	}
	return s.byName[proxy]
}

func (s *statistics) snapshot(secrets map[string]lockout.Counts) []ProxyStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ProxyStats, 0, len(s.byName))
	for name, c := range s.byName {
		now := secrets[c.address]
		all = append(all, ProxyStats{
			Proxy:      name,
			Requests:   c.requests.Load(),
			Legs:       c.legs.Load(),
			Challenges: c.challenges.Load(),
			Handshakes: c.handshakes.Load(),
			Rejections: c.rejections.Load(),
			Failures:   c.failed(),
			Waiting:    now.Waiting,
			Doubted:    now.Doubted,
			Paused:     now.Paused,
			Refused:    now.Barred,
		})
	}
	slices.SortFunc(all, func(a, b ProxyStats) int { return cmp.Compare(a.Proxy, b.Proxy) })
	return all
}
