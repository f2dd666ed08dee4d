package proxyauth

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// A Scheme is one way to authenticate to a proxy, such as Digest. It is
// configuration: it holds no state of any exchange, is shared by all of them,
// and must be safe for concurrent use.
//
// A scheme may implement [ConnectionBinder], [AmbientScheme], [Revealer] and
// [Forgetter] as well.
type Scheme interface {
	// Name returns the auth-scheme as registered, such as "Digest". It is
	// compared without regard to case (RFC 9110, Section 11.1) with the ones
	// that a proxy offers.
	Name() string

	// NewSession begins an exchange. It must not keep ctx.
	//
	// An error that wraps [ErrChallengeRequired] says that the scheme can't
	// open before the proxy has challenged, one that wraps
	// [ErrUnsupportedChallenge] that none of ex.Challenges is one it can
	// answer. Any other error is a local failure (no ticket, a user name that
	// can't be sent): the next scheme is tried, and the error is reported in
	// [Error.Tried].
	NewSession(ctx context.Context, ex Exchange) (Session, error)
}

// An Exchange says what a [Session] is about to authenticate, and to whom. It
// is read-only.
type Exchange struct {
	// Proxy is the proxy's URL with nothing but scheme and host, the latter
	// with a port.
	Proxy *url.URL

	// Credentials are the ones to prove.
	Credentials Credentials

	// Challenges holds the proxy's challenges for the scheme, at least one, in
	// the order in which they came. It is empty if the proxy has not been
	// asked yet.
	Challenges []Challenge

	// TLS is the state of the connection to an https:// proxy, for channel
	// bindings. It is nil for an http:// proxy, and for a scheme that does not
	// bind the connection.
	TLS *tls.ConnectionState
}

// A Session is one exchange of a [Scheme] with a proxy.
//
// It serves one request at a time. Of a scheme that does not bind the
// connection, a session that the proxy has accepted is used again for later
// requests, on any connection, so that what it has learned (a nonce, say) is not
// learned anew.
//
// A session may implement [Continuer], [Handshaker], [Verifier], [Grader] and
// [TicketBearer] as well.
type Session interface {
	// Authorization returns the value of Proxy-Authorization for the leg:
	// the auth-scheme, a space, and credentials. It is called once for each
	// leg.
	Authorization(ctx context.Context, leg Leg) (string, error)
}

// A Leg is one request to the proxy, as far as an authorization may depend on
// it.
type Leg struct {
	// Method is the request's method: CONNECT for a tunnel.
	Method string

	// Target is the request-target as it stands in the request line: host and
	// port for CONNECT, the absolute URI for a forwarded request (RFC 9112,
	// Section 3.2).
	Target string

	// GetBody returns a new copy of the request's body. It is nil if the body
	// can't be had twice, and for a request without a body, of which HasBody
	// is false.
	GetBody func() (io.ReadCloser, error)
	HasBody bool
}

// A ConnectionBinder is a [Scheme] that may authenticate the connection rather
// than the request, as NTLM and Negotiate do (RFC 4559, Section 6). Every leg of
// its exchange goes over one connection; afterwards the requests on this
// connection carry no authorization.
type ConnectionBinder interface {
	Scheme
	BindsConnection() bool
}

// A Revealer is a [Scheme] whose authorization may reveal the secret to whoever
// reads it, as that of Basic does.
type Revealer interface {
	Scheme
	RevealsSecret() bool
}

// A Forgetter is a [Scheme] that remembers tickets, say, or what was refused.
// Forget is called by [Transport.Reset].
type Forgetter interface {
	Scheme
	Forget()
}

// A Continuer is a [Session] that can go on when its authorization is answered
// with another 407. Without it such an answer is a refusal of the credentials.
type Continuer interface {
	Session

	// Continue takes the challenges for the scheme of a 407 that answered the
	// session's last authorization; there may be none. If it returns nil,
	// Authorization is called for the next leg. An error that wraps
	//
	//   - [ErrRejected] says that the proxy has refused a complete attempt: the
	//     credentials are not sent again;
	//   - [ErrSessionExpired] says that what the session knew is out of date,
	//     which says nothing of the credentials: a new session is tried, unless
	//     this one was made for the proxy's last challenge;
	//   - [ErrHandshakeBroken] says that the proxy, or something before it, lost
	//     the thread before the credentials were proved;
	//   - [ErrComplete] says that the proxy has accepted the credentials: the
	//     407 is the origin server's, and the caller's business;
	//   - [ErrUnsupportedChallenge], or anything else, is a failure of the
	//     scheme.
	Continue(ctx context.Context, challenges []Challenge) error
}

// A Handshaker is a [Session] of a [ConnectionBinder] whose exchange may take
// several legs. Without it the first authorization is taken for the last.
type Handshaker interface {
	Continuer

	// Final reports whether the last authorization that Authorization
	// returned is expected to complete the exchange. On a connection for
	// forwarded requests, the ones before it are sent without the caller's
	// request, so that the request is sent once, with the final one.
	Final() bool
}

// A TicketBearer is a [Session] whose authorization may carry a ticket, as that of
// Kerberos does, which was got with the secret from somebody else.
type TicketBearer interface {
	Session

	// BearsTicket reports whether the last authorization carries a ticket.
	// Whoever gets no answer to one may try again, or another scheme, at
	// once: the proxy counts no failure against the account.
	BearsTicket() bool
}

// A Verifier is a [Session] that examines the answer of a proxy that has let the
// request pass.
type Verifier interface {
	Session

	// Verify examines resp, the answer to the session's last authorization,
	// which is not a 407. For CONNECT, only status and header may be looked
	// at. An error means that the peer is not the proxy it should be; resp is
	// then not used. Verify may replace resp.Body with a reader that fails.
	Verify(resp *http.Response) error
}

// A Grader is a [Session] of a scheme that is stronger or weaker depending on
// what the proxy asks for, as Digest is with its algorithms. A proxy that has once
// asked for more is not given less by the same scheme: see
// [Transport.InsecureAllowDowngrade].
type Grader interface {
	Session

	// Grade returns how strong what the session sends is; more is stronger.
	// It is called after NewSession was given a challenge, and after Continue.
	Grade() int
}

// Errors that a [Scheme] or [Session] wraps to say how to go on.
var (
	// ErrChallengeRequired means that a scheme can't open an exchange before
	// the proxy has sent a challenge.
	ErrChallengeRequired = errors.New("proxyauth: scheme needs a challenge first")

	// ErrUnsupportedChallenge means that there is no challenge that the scheme
	// can answer: all name an unknown algorithm, for example.
	ErrUnsupportedChallenge = errors.New("proxyauth: unsupported challenge")

	// ErrForbidden means that a rule of the program, which the text names,
	// forbids to answer: an algorithm is too weak, for example.
	ErrForbidden = errors.New("proxyauth: forbidden")

	// ErrBodyNotReplayable means that a session needs the request's body, which
	// can't be had twice. It ends the request and says nothing of the scheme.
	ErrBodyNotReplayable = errors.New("proxyauth: the request has a body but no GetBody")

	// ErrRejected means that the proxy refused the credentials in a complete
	// attempt.
	ErrRejected = errors.New("proxyauth: credentials rejected")

	// ErrHeldBack means that the credentials are not to be sent for a while, in
	// no scheme, though nobody has refused them: whoever was asked, such as a
	// KDC, has not said whether they are right, or says that the account is
	// locked.
	ErrHeldBack = errors.New("proxyauth: credentials held back")

	// ErrSessionExpired means that a session used again is out of date.
	ErrSessionExpired = errors.New("proxyauth: session expired")

	// ErrComplete means that a 407 came with what completes the exchange. It
	// is an origin server's that the proxy has passed on.
	ErrComplete = errors.New("proxyauth: exchange complete")

	// ErrHandshakeBroken means that an exchange of several legs was broken off
	// before the credentials were proved: the proxy answered with a challenge
	// that does not continue it, or closed the connection.
	ErrHandshakeBroken = errors.New("proxyauth: handshake broken off")
)
