package testproxy

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// A Mechanism is the proxy's side of an auth-scheme. It is used by all
// connections at once.
type Mechanism interface {
	// Scheme returns the auth-scheme, such as "Digest".
	Scheme() string

	// Challenge returns the values of the Proxy-Authenticate lines that offer
	// the scheme. It is called for every 407 that is not the mechanism's own
	// doing: for a request without Proxy-Authorization, or of another scheme.
	Challenge(c *Conn) []string

	// Verify judges a request with a Proxy-Authorization of the scheme.
	Verify(r *Request) Verdict
}

// A Forgetter is a [Mechanism] that may lose the authentication of a connection.
type Forgetter interface {
	Mechanism

	// Forgets is asked once for each request on an authenticated connection.
	Forgets(c *Conn) bool
}

// A Request is what a [Mechanism] judges.
type Request struct {
	// Conn is the connection that the request came on.
	Conn *Conn

	// Method and Target are those of the request line.
	Method, Target string

	// Header is the request's, not to be changed.
	Header http.Header

	// Credentials is what follows the auth-scheme in Proxy-Authorization: a
	// token68 or parameters.
	Credentials string

	body *requestBody
}

// Body reads the request's body, which stays in memory until it is passed on.
func (r *Request) Body() ([]byte, error) {
	if r.body == nil {
		return nil, nil
	}
	return r.body.buffer()
}

// A Verdict is what a [Mechanism] finds. The zero value is a refusal, upon which
// the proxy offers everything it has, as for a request without
// Proxy-Authorization.
type Verdict struct {
	// Accepted lets the request through, as User's.
	Accepted bool
	User     string

	// Bind makes the connection User's: requests that follow on it need no
	// Proxy-Authorization.
	Bind bool

	// Header is added to the answer, whatever it is. HeaderFor, if not nil, is
	// asked for more once the body of an answer that was let through is known;
	// the body is nil for CONNECT.
	Header    http.Header
	HeaderFor func(body []byte) http.Header

	// Challenges takes the place of the mechanism's own Challenge in a 407.
	Challenges []string

	// Only says that the 407 has no other lines than Challenges: a handshake
	// goes on, or the proxy has lost interest in other schemes.
	Only bool

	// Status, if not zero, is answered instead of 407 and without challenges.
	Status int

	// Close closes the connection after the refusal, and says so. Drop closes
	// it without an answer.
	Close, Drop bool

	// Violation, if not empty, goes to [Proxy.Violations]. It must not quote
	// what the client has sent.
	Violation string
}

// Accept returns the verdict that the request is user's.
func Accept(user string) Verdict { return Verdict{Accepted: true, User: user} }

// AcceptConn returns the verdict that the connection is user's from now on.
func AcceptConn(user string) Verdict { return Verdict{Accepted: true, User: user, Bind: true} }

// Continue returns the verdict that the handshake goes on with challenge, such
// as "NTLM TlRMTVNTUAAC...".
func Continue(challenge string) Verdict {
	return Verdict{Challenges: []string{challenge}, Only: true}
}

// Reject returns the verdict that nothing has been proved.
func Reject() Verdict { return Verdict{} }

// credentials splits the first Proxy-Authorization.
func credentials(h http.Header) (scheme, rest string, ok bool) {
	values := h["Proxy-Authorization"]
	if len(values) == 0 {
		return "", "", false
	}
	scheme, rest, _ = strings.Cut(values[0], " ")
	return scheme, strings.TrimSpace(rest), true
}

// authenticate returns the refusal of the request, or nil if it is let through.
func (x *exchange) authenticate(auth []Mechanism) *answer {
	anonymous := x.c.proxy.config.Anonymous
	if len(auth) == 0 || anonymous != nil && anonymous(x.leg.Target) {
		return nil
	}
	scheme, rest, ok := credentials(x.req.Header)
	if x.c.bound && x.forgotten(auth) {
		x.c.bind("")
	}
	if x.c.bound {
		if ok {
			x.violation("Proxy-Authorization on an authenticated connection")
		}
		if !ok || !x.c.proxy.config.Rebind {
			x.accept(Accept(x.c.user))
			return nil
		}
	}
	return x.judge(auth, scheme, rest)
}

func (x *exchange) forgotten(auth []Mechanism) bool {
	return slices.ContainsFunc(auth, func(m Mechanism) bool {
		f, ok := m.(Forgetter)
		return ok && f.Forgets(x.c)
	})
}

func (x *exchange) judge(auth []Mechanism, scheme, rest string) *answer {
	i := slices.IndexFunc(auth, func(m Mechanism) bool { return strings.EqualFold(m.Scheme(), scheme) })
	if i < 0 {
		return x.refuse(auth, i, Reject())
	}
	v := auth[i].Verify(&Request{
		Conn: x.c, Method: x.leg.Method, Target: x.leg.Target,
		Header: x.leg.Header, Credentials: rest, body: x.body,
	})
	if v.Violation != "" {
		x.violation(v.Violation)
	}
	if v.Accepted {
		x.accept(v)
		return nil
	}
	if x.c.bound {
		x.c.bind("")
	}
	return x.refuse(auth, i, v)
}

func (x *exchange) accept(v Verdict) {
	x.grant = v
	x.c.proxy.record.update(func() { x.leg.User = v.User })
	if !v.Bind {
		return
	}
	if x.c.bound && x.c.user != v.User {
		x.violation("a connection changes its identity")
	}
	x.c.bind(v.User)
}

// refuse returns the answer that v asks for, which auth[judge] came to unless
// judge is negative.
func (x *exchange) refuse(auth []Mechanism, judge int, v Verdict) *answer {
	a := page(cmp.Or(v.Status, http.StatusProxyAuthRequired))
	a.close, a.drop = v.Close, v.Drop
	a.add(v.Header)
	if v.Only {
		x.inspectOpening()
	}
	if v.Status != 0 {
		return a
	}
	for i, m := range auth {
		switch {
		case i == judge && v.Challenges != nil:
			a.add(http.Header{"Proxy-Authenticate": v.Challenges})
		case !v.Only:
			a.add(http.Header{"Proxy-Authenticate": m.Challenge(x.c)})
		}
	}
	return a
}
