package digest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// The values of qop (RFC 7616, Section 3.3). A challenge has none in RFC 2069.
const (
	qopNone    = ""
	qopAuth    = "auth"
	qopAuthInt = "auth-int"
)

// An offer is a challenge that can be answered.
type offer struct {
	realm, nonce string
	algorithm    Algorithm
	sess         bool
	qop          string

	// named is the algorithm as the challenge spells it, empty if it does not.
	named string

	opaque    string
	hasOpaque bool
	userhash  bool
	utf8      bool
}

var (
	errIncomplete = unsupported("realm or nonce missing")
	errAlgorithm  = unsupported("unknown algorithm")
	errWeak       = fmt.Errorf("%w: digest.Scheme.MinAlgorithm permits no weaker algorithm (%w)", proxyauth.ErrForbidden, proxyauth.ErrUnsupportedChallenge)
	errFIPS       = unsupported("MD5, which FIPS 140-only mode forbids")
	errQop        = unsupported("unknown qop")
	errUnsafe     = unsupported("control character")
)

func unsupported(why string) error {
	return fmt.Errorf("%w: digest: %s", proxyauth.ErrUnsupportedChallenge, why)
}

// pick returns the offer with the strongest algorithm, the first of equals. The
// error says what is wrong with each challenge.
func (s Scheme) pick(challenges []proxyauth.Challenge) (offer, error) {
	var best offer
	var errs []error
	for _, c := range challenges {
		o, err := s.read(c.Params)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if best.nonce == "" || o.algorithm > best.algorithm {
			best = o
		}
	}
	if best.nonce == "" {
		return offer{}, errors.Join(errs...)
	}
	return best, nil
}

// read returns the offer that the parameters of a challenge make.
func (s Scheme) read(params map[string]string) (offer, error) {
	realm, hasRealm := params["realm"]
	opaque, hasOpaque := params["opaque"]
	algorithm, sess, known := parseAlgorithm(params["algorithm"])
	qop, answerable := chooseQop(params["qop"])
	o := offer{
		realm:     realm,
		nonce:     params["nonce"],
		algorithm: algorithm,
		sess:      sess,
		qop:       qop,
		named:     params["algorithm"],
		opaque:    opaque,
		hasOpaque: hasOpaque,
		userhash:  strings.EqualFold(params["userhash"], "true"),
		utf8:      strings.EqualFold(params["charset"], "UTF-8"),
	}
	switch {
	// Without the realm the answer can't be right, and each wrong one may
	// count towards locking the account.
	case !hasRealm || o.nonce == "":
		return offer{}, errIncomplete
	case !known:
		return offer{}, errAlgorithm
	case algorithm < s.MinAlgorithm:
		return offer{}, errWeak
	case algorithm.panics():
		return offer{}, errFIPS
	case !answerable:
		return offer{}, errQop
	case !quotable(realm) || !quotable(o.nonce) || !quotable(opaque):
		return offer{}, errUnsafe
	}
	return o, nil
}

// chooseQop chooses among the values that a challenge lists. auth-int is only
// for want of auth, since it reads every body twice.
func chooseQop(listed string) (qop string, ok bool) {
	values := strings.FieldsFunc(strings.ToLower(listed), func(r rune) bool {
		return r == ',' || r == ' ' || r == '\t'
	})
	ok = len(values) == 0
	for _, v := range values {
		switch v {
		case qopAuth:
			return qopAuth, true
		case qopAuthInt:
			qop, ok = qopAuthInt, true
		}
	}
	return qop, ok
}

// isStale reports whether the proxy says that it was the nonce which it did not
// like.
func isStale(c proxyauth.Challenge) bool {
	return strings.EqualFold(c.Params["stale"], "true")
}

// quotable reports whether s can stand in a quoted string: a realm may contain a
// tab.
func quotable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && isControl(r) })
}
