package digest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-proxyauth/proxyauth"
)

// A session is one exchange. The nonce may be read by a new session on the same
// connection, and be set when the body of a response ends.
type session struct {
	shared *shared
	nonce  atomic.Pointer[nonce] // for the next request
	used   *nonce                // by the last request
	proof  proof                 // of the last request
	method string                // of the last request

	// remembered means that the nonce was not part of a challenge to this
	// session, or has been accepted since.
	remembered bool
}

var (
	_ proxyauth.Continuer = (*session)(nil)
	_ proxyauth.Verifier  = (*session)(nil)
)

var errTarget = errors.New("proxyauth: digest: control character in the request line")

// maxShort is the length of most authorizations, and of what is hashed for them.
const maxShort = 1 << 10

// Format writes "Digest session", whatever the verb.
func (s *session) Format(f fmt.State, verb rune) { io.WriteString(f, "Digest session") }

// Authorization implements [proxyauth.Session].
func (s *session) Authorization(ctx context.Context, leg proxyauth.Leg) (proxyauth.Authorization, error) {
	if strings.ContainsFunc(leg.Method, isControl) || strings.ContainsFunc(leg.Target, isControl) {
		return proxyauth.Authorization{}, errTarget
	}
	n := s.nonce.Load()
	var short [maxShort]byte
	a2 := append(append(append(short[:0], leg.Method...), ':'), leg.Target...)
	if n.offer.qop == qopAuthInt {
		hash, err := hashBody(ctx, n.offer.algorithm, leg)
		if err != nil {
			return proxyauth.Authorization{}, err
		}
		a2 = append(append(a2, ':'), hash...)
	}
	return proxyauth.Authorization{Value: s.sign(n, leg, a2), Strength: int(n.offer.algorithm)}, nil
}

// sign returns the value for leg. a2 is the text to be hashed, and is overwritten.
func (s *session) sign(n *nonce, leg proxyauth.Leg, a2 []byte) string {
	s.used, s.method = n, leg.Method
	s.proof = proof{
		algorithm: n.offer.algorithm,
		ha1:       n.ha1,
		nonce:     n.offer.nonce,
		cnonce:    n.cnonce,
		qop:       n.offer.qop,
		// After 4,294,967,295 requests the count begins again, and the proxy
		// says that the nonce is stale.
		nc:     n.count.Add(1),
		target: leg.Target,
	}
	var response [64]byte
	hashed, b := s.proof.appendResponse(response[:0], a2, a2)

	b = append(b[:0], n.prefix...)
	if s.proof.qop != qopNone {
		b = appendCount(b, s.proof.nc)
	}
	b = appendQuoted(append(b, `, uri=`...), leg.Target)
	b = append(append(append(b, `, response="`...), hashed...), '"')
	return string(b)
}

// Continue implements [proxyauth.Continuer].
//
// A stale nonce says nothing of the password: squid calls each unknown nonce stale.
// Nor does a 407 to a nonce that was remembered: Apache, restarted, does not call it
// stale. Any other 407 is a refusal.
func (s *session) Continue(_ context.Context, challenges []proxyauth.Challenge) (proxyauth.Next, error) {
	stale := slices.ContainsFunc(challenges, isStale)
	switch {
	case stale && s.used != nil:
		s.shared.reject(s.used)
	case stale:
	case !s.remembered:
		return proxyauth.Refused, nil
	case len(challenges) == 0:
		return proxyauth.Broken, nil
	}
	o, err := s.shared.scheme.pick(challenges)
	if err != nil {
		return proxyauth.GoOn, err
	}
	s.nonce.Store(s.shared.receive(o))
	s.remembered = false
	return proxyauth.Stale, nil
}

// accepted notes that the proxy has accepted the last authorization. nextNonce is
// the nonce that it wants next, if it has sent one.
func (s *session) accepted(nextNonce string) {
	s.remembered = true
	if s.used == nil {
		return
	}
	s.shared.accept(s.used)
	s.follow(s.used, nextNonce)
	if s.method == http.MethodConnect {
		s.shared.release(s.nonce.Load())
	}
}

// follow takes over the nonce that the proxy has sent for the requests after one
// with n (RFC 7616, Section 3.5).
func (s *session) follow(n *nonce, value string) {
	if value == "" || value == n.offer.nonce || !quotable(value) {
		return
	}
	o := n.offer
	o.nonce = value
	next := s.shared.receive(o)
	s.nonce.Store(next)
	s.shared.accept(next)
}

// Verify implements [proxyauth.Verifier]: it checks the proof that the proxy knows
// the password, if it has sent one (RFC 7616, Section 3.5). With qop auth-int the body
// is checked when it has been read to its end. Otherwise a proof in the trailer counts as
// none: the body would be read before. The error, of Verify or of the body, wraps
// [proxyauth.ErrNotVerified].
func (s *session) Verify(resp *http.Response) error {
	// Malformed parameters count as missing, since all are optional.
	info, _ := proxyauth.ParseAuthInfo(resp.Header)
	if err := s.check(resp, info); err != nil {
		return err
	}
	s.accepted(info["nextnonce"])
	return nil
}
