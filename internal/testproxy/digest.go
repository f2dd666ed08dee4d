package testproxy

import (
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A NonceCount says what becomes of a nonce count that is not the next one.
type NonceCount int

// The ways to check nc.
const (
	NonceCountOff    NonceCount = iota // it is not looked at, as by Apache
	NonceCountSquid                    // it passes once, and the nonce is forgotten
	NonceCountRefuse                   // it is refused as stale, and the nonce forgotten
	NonceCountOnce                     // it passes the first time, in any order, and is refused as stale again
)

// A Stale says how the proxy tells that a nonce is out of date.
type Stale int

// The styles of stale.
const (
	StaleApache Stale = iota // stale=true if a nonce of its own is too old, else nothing
	StaleSquid               // stale=true for any nonce not in use, whatever the password; else stale=false
	StaleNever               // nothing, ever
)

// A RspAuth says how the proxy proves itself in Proxy-Authentication-Info.
type RspAuth int

// The kinds of rspauth.
const (
	RspAuthNone RspAuth = iota
	RspAuthRight
	RspAuthWrong
)

// A DigestURI says which uri the proxy takes.
type DigestURI int

// The ways to check uri. Another one is answered with 400.
const (
	DigestURIExact  DigestURI = iota // the request-target
	DigestURIApache                  // the request-target, or its path and query
	DigestURIAny                     // anything, as by squid
)

// Digest is the Digest scheme (RFC 7616, and RFC 2617 and RFC 2069 before it).
type Digest struct {
	// Accounts holds the users.
	Accounts *Accounts

	// Realm is the realm, of any bytes but CR and LF. RawRealm sends it without
	// escapes, as squid does.
	Realm    string
	RawRealm bool

	// Algorithms holds the algorithms to offer, each in a challenge of its own
	// with the same nonce: MD5, SHA-256, SHA-512-256, and those with "-sess".
	// Empty means MD5. NoAlgorithm leaves the name out of the challenges.
	Algorithms  []string
	NoAlgorithm bool

	// QOP is the list of qop values to offer. Empty means "auth". NoQOP offers
	// none, as RFC 2069 did.
	QOP   string
	NoQOP bool

	// Userhash offers userhash=true, and Charset charset=UTF-8, without which
	// username* is refused.
	Userhash, Charset bool

	// Opaque is sent, and must come back, if it is not empty.
	Opaque string

	// Extra is appended to each challenge.
	Extra string

	// URI says which uri is taken.
	URI DigestURI

	// NonceUses is how many requests a nonce is good for, and NonceLife how
	// long. Zero means without limit.
	NonceUses int
	NonceLife time.Duration

	// SharedNonce gives everybody the same nonce as long as it is good.
	SharedNonce bool

	// NonceCount says what becomes of replays and gaps.
	NonceCount NonceCount

	// Stale says how stale nonces are told.
	Stale Stale

	// NextNonce announces the next nonce in Proxy-Authentication-Info once a
	// nonce has so many uses left of NonceUses, or less than a fifth of
	// NonceLife; with every answer if it is negative. Zero means never.
	NextNonce int

	// RspAuth says whether the proxy proves itself.
	RspAuth RspAuth

	once  sync.Once
	store nonceStore
}

// Scheme returns "Digest".
func (*Digest) Scheme() string { return "Digest" }

// Challenge returns a challenge for each algorithm.
func (d *Digest) Challenge(*Conn) []string { return d.challenge(false) }

// ForgetNonces puts all nonces out of date.
func (d *Digest) ForgetNonces() { d.nonces().forget() }

// Nonces returns how many nonces were issued.
func (d *Digest) Nonces() int { return d.nonces().count() }

func (d *Digest) nonces() *nonceStore {
	d.once.Do(func() {
		d.store.uses, d.store.life, d.store.check = d.NonceUses, d.NonceLife, d.NonceCount
		d.store.shared = d.SharedNonce
	})
	return &d.store
}

func (d *Digest) algorithms() []string {
	if len(d.Algorithms) == 0 {
		return []string{"MD5"}
	}
	return d.Algorithms
}

func (d *Digest) qop() string {
	if d.NoQOP {
		return ""
	}
	return cmp.Or(d.QOP, "auth")
}

func (d *Digest) challenge(stale bool) []string {
	nonce := d.nonces().issue()
	var lines []string
	for _, algorithm := range d.algorithms() {
		lines = append(lines, "Digest "+strings.Join(d.params(algorithm, nonce, stale), ", "))
	}
	return lines
}

func (d *Digest) params(algorithm, nonce string, stale bool) []string {
	realm := quote(d.Realm)
	if d.RawRealm {
		realm = `"` + d.Realm + `"`
	}
	params := []string{"realm=" + realm, "nonce=" + quote(nonce)}
	add := func(when bool, param string) {
		if when {
			params = append(params, param)
		}
	}
	add(d.qop() != "", "qop="+quote(d.qop()))
	add(!d.NoAlgorithm, "algorithm="+algorithm)
	add(d.Opaque != "", "opaque="+quote(d.Opaque))
	add(d.Charset, "charset=UTF-8")
	add(d.Userhash, "userhash=true")
	add(stale && d.Stale != StaleNever, "stale=true")
	add(!stale && d.Stale == StaleSquid, "stale=false")
	add(d.Extra != "", d.Extra)
	return params
}

// Verify checks the response, and then the nonce.
func (d *Digest) Verify(r *Request) Verdict {
	a, problem := d.attempt(r)
	switch {
	case problem != "":
		return d.refuse(false, "Digest: "+problem)
	case !d.uriFits(a.uri, r.Target):
		return Verdict{Status: http.StatusBadRequest, Violation: "Digest: uri is not the request-target"}
	case !d.proved(a):
		return d.refuse(d.Stale == StaleSquid && !d.nonces().live(a.nonce), "")
	}
	state := d.nonces().use(a.nonce, a.nc)
	if !state.good {
		return d.refuse(state.known || d.Stale == StaleSquid, "")
	}
	v := Accept(a.username)
	d.inform(&v, a, state)
	return v
}

func (d *Digest) refuse(stale bool, violation string) Verdict {
	return Verdict{Challenges: d.challenge(stale), Violation: violation}
}

func (d *Digest) uriFits(uri, target string) bool {
	switch {
	case uri == target || d.URI == DigestURIAny:
		return true
	case d.URI != DigestURIApache:
		return false
	}
	_, rest, ok := strings.Cut(target, "://")
	slash := strings.IndexByte(rest, '/')
	return ok && slash >= 0 && rest[slash:] == uri
}

func (d *Digest) proved(a *digestAttempt) bool {
	return d.Accounts.Authenticate(a.username, func(password string) bool {
		a.password = password
		return equal(a.response, a.compute(a.method))
	})
}

// inform sets the Proxy-Authentication-Info of an accepted attempt (RFC 7616,
// Section 3.5).
func (d *Digest) inform(v *Verdict, a *digestAttempt, state nonceState) {
	var next []string
	if d.NextNonce < 0 || d.NextNonce > 0 && state.nearEnd(d.NextNonce) {
		next = append(next, "nextnonce="+quote(d.nonces().issue()))
	}
	v.HeaderFor = func(body []byte) http.Header { return infoHeader(append(next, d.rspauth(a, body)...)) }
	if d.RspAuth == RspAuthNone || a.qop != "auth-int" {
		v.Header, v.HeaderFor = v.HeaderFor(nil), nil
	}
}

func infoHeader(params []string) http.Header {
	if len(params) == 0 {
		return nil
	}
	return http.Header{"Proxy-Authentication-Info": {strings.Join(params, ", ")}}
}

func (d *Digest) rspauth(a *digestAttempt, body []byte) []string {
	if d.RspAuth == RspAuthNone {
		return nil
	}
	answer := *a
	answer.body = body
	if d.RspAuth == RspAuthWrong {
		answer.password += "?"
	}
	params := []string{"rspauth=" + quote(answer.compute(""))}
	if a.qop != "" {
		params = append(params, "qop="+a.qop, "nc="+a.ncText, "cnonce="+quote(a.cnonce))
	}
	return params
}
