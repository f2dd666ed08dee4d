// Package digest implements the Digest scheme (RFC 7616, and before it RFC 2617
// and RFC 2069) for package proxyauth.
//
// The password itself is not sent. A proxy that supports it proves in return that
// it knows the password, and is then held to it.
package digest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// Scheme is the Digest scheme. The zero value is ready to use.
//
// Of several challenges it answers the one with the strongest algorithm. It
// prefers qop "auth"; a proxy that insists on "auth-int" has the body hashed,
// which takes a request whose body can be had twice. Its own proof is not checked
// where net/http decompresses the response: see [http.Transport].DisableCompression.
// A user name outside ASCII
// is sent in the form that the challenge asks for (userhash, charset), and as
// the bytes it consists of if it asks for none.
type Scheme struct {
	// MinAlgorithm is the weakest algorithm that is answered. The zero value
	// is [MD5], the only one that many proxies know.
	//
	// To a proxy that offers nothing better, the next scheme on the list of
	// the Transport is given, if it is offered; Transport.ForbidCleartext
	// keeps that from being Basic.
	MinAlgorithm Algorithm
}

var _ proxyauth.Scheme = Scheme{}

var (
	errControl = errors.New("proxyauth: digest: control character in the user name or password")

	// ErrBodyNeeded is returned by Authorization if the proxy wants the body
	// to be hashed (qop "auth-int") and there is no GetBody.
	ErrBodyNeeded = fmt.Errorf("%w: digest: qop auth-int takes a body that can be read twice", proxyauth.ErrBodyNotReplayable)
)

// Name returns "Digest".
func (Scheme) Name() string { return "Digest" }

// NewSession returns a session that answers the strongest of ex.Challenges. It
// implements [proxyauth.Continuer] and [proxyauth.Verifier]. The strength of its
// authorizations is the [Algorithm].
//
// Sessions that are made from one another, by ex.Accepted, share their nonces. So
// without challenges, the session uses the last nonce that is known. If the proxy
// has called two young nonces stale within a minute, then for ten minutes it uses
// only one that came on its own connection: see ex.AcceptedHere.
//
// A control character in the user name or the password, often the line end of the
// file that it was read from, is an error. Otherwise the error wraps
//
//   - [proxyauth.ErrChallengeRequired] if there is neither a challenge nor a nonce;
//   - [proxyauth.ErrUnsupportedChallenge] if no challenge has a known and permitted
//     algorithm, a known qop, a realm and a nonce;
//   - [proxyauth.ErrForbidden] as well if an algorithm is known and not permitted.
func (s Scheme) NewSession(_ context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	return s.newSession(ex, rand.Text)
}

func (s Scheme) newSession(ex proxyauth.Exchange, cnonce func() string) (proxyauth.Session, error) {
	before, ok := ex.Accepted.(*session)
	if ok = ok && before.shared.serves(s, ex.Credentials); ok && len(ex.Challenges) == 0 {
		return before.successor(ex.AcceptedHere)
	}
	c := ex.Credentials
	if strings.ContainsFunc(c.Username+c.Password.Reveal(), isControl) {
		return nil, errControl
	}
	if len(ex.Challenges) == 0 {
		return nil, proxyauth.ErrChallengeRequired
	}
	o, err := s.pick(ex.Challenges)
	if err != nil {
		return nil, err
	}
	n := &session{}
	if ok {
		n.shared = before.shared
	} else {
		n.shared = newShared(s, c, cnonce)
	}
	n.nonce.Store(n.shared.receive(o))
	return n, nil
}

// successor returns a session that uses a remembered nonce.
func (s *session) successor(here bool) (proxyauth.Session, error) {
	var own *nonce
	if here {
		own = s.nonce.Load()
	}
	n := s.shared.next(own)
	if n == nil {
		return nil, proxyauth.ErrChallengeRequired
	}
	next := &session{shared: s.shared, remembered: true}
	next.nonce.Store(n)
	return next, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
