package digest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-proxyauth/proxyauth"
)

// A session uses one nonce after another, and each for as long as the proxy
// likes.
type session struct {
	scheme      Scheme
	credentials proxyauth.Credentials
	newCnonce   func() string

	offer  offer
	proof  proof  // of the last request, with the nonce in use
	prefix string // head() for this nonce
	method string // of the last request

	// remembered is true if the nonce, or the one before it that brought it
	// as its nextnonce, has been accepted.
	remembered bool

	// retried is true between a stale nonce and an accepted answer.
	retried bool

	// trailing is a nextnonce that came in a trailer, perhaps while the next
	// request was already under way.
	trailing atomic.Pointer[string]

	scratch []byte
}

var errTarget = errors.New("proxyauth: digest: control character in the request line")

// adopt takes over what a challenge says. Its nonce is newer than a trailing one.
func (s *session) adopt(o offer) {
	s.trailing.Store(nil)
	s.offer = o
	s.proof.algorithm, s.proof.qop = o.algorithm, o.qop
	s.useNonce(o.nonce)
}

// useNonce computes all that depends on the nonce. A cnonce serves as long as
// its nonce, so that the key of a -sess algorithm stays valid, and is told from
// request to request by the nonce count.
func (s *session) useNonce(nonce string) {
	if p := &s.proof; nonce != p.nonce {
		p.nonce, p.cnonce, p.nc = nonce, s.newCnonce(), 0
	}
	s.proof.ha1 = s.ha1()
	s.prefix = s.head()
}

// ha1 returns H(A1) of RFC 7616, Section 3.4.2. For -sess it is computed anew for
// each nonce, also one from a nextnonce: a proxy that keeps no state knows only
// the nonce and cnonce of the request.
func (s *session) ha1() proxyauth.Secret {
	o, p := &s.offer, &s.proof
	key := o.algorithm.hash(s.credentials.Username, o.realm, s.credentials.Password.Reveal())
	if o.sess {
		key = o.algorithm.hash(key, p.nonce, p.cnonce)
	}
	return proxyauth.NewSecret(key)
}

// authorization is [proxyauth.Session.Authorization].
func (s *session) authorization(ctx context.Context, leg proxyauth.Leg) (string, error) {
	if next := s.trailing.Swap(nil); next != nil {
		s.useNonce(*next)
		s.remembered = true
	}
	if strings.ContainsFunc(leg.Method, isControl) || strings.ContainsFunc(leg.Target, isControl) {
		return "", errTarget
	}
	a2 := append(append(append(s.scratch[:0], leg.Method...), ':'), leg.Target...)
	if s.offer.qop == qopAuthInt {
		hash, err := hashBody(ctx, s.offer.algorithm, leg)
		if err != nil {
			return "", err
		}
		a2 = append(append(a2, ':'), hash...)
	}
	return s.sign(leg, a2), nil
}

// sign returns the authorization for leg, of which a2 is the text to be hashed.
func (s *session) sign(leg proxyauth.Leg, a2 []byte) string {
	// After 4,294,967,295 requests the count begins again, and the proxy says
	// that the nonce is stale.
	s.proof.nc++
	s.method, s.proof.target = leg.Method, leg.Target

	// a2 stands in the scratch space, so its hash must be taken first:
	// appendResponse does.
	var response [64]byte
	hashed, b := s.proof.appendResponse(response[:0], a2, a2)

	b = append(b[:0], s.prefix...)
	if s.proof.qop != qopNone {
		b = appendCount(b, s.proof.nc)
	}
	b = appendQuoted(append(b, `, uri=`...), leg.Target)
	b = append(append(append(b, `, response="`...), hashed...), '"')
	s.scratch = b[:0]
	return string(b)
}

// errStale means that the proxy does not know the nonce that it has just sent: one
// of several behind a load balancer, say. It has not looked at the password.
var errStale = fmt.Errorf("%w: digest: a fresh nonce is stale", proxyauth.ErrSessionExpired)

// proceed is [proxyauth.Continuer.Continue]. A stale nonce is replaced once:
// squid calls an unknown nonce stale whatever the password.
func (s *session) proceed(challenges []proxyauth.Challenge) error {
	switch stale := slices.ContainsFunc(challenges, isStale); {
	case !stale:
		return s.refusal()
	case s.retried:
		return errStale
	}
	o, err := s.scheme.pick(challenges)
	if err != nil {
		return err
	}
	s.adopt(o)
	s.retried, s.remembered = true, false
	return nil
}

// refusal tells a wrong password from a nonce that the proxy has forgotten:
// Apache, restarted, does not call such a nonce stale.
func (s *session) refusal() error {
	if s.remembered {
		return proxyauth.ErrSessionExpired
	}
	return proxyauth.ErrRejected
}
