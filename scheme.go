package proxyauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
)

// A Scheme is one way to authenticate to a proxy, such as Digest. It is
// configuration: it holds no state of an exchange, is shared by all exchanges,
// and must be safe for concurrent use.
//
// A scheme may implement [Describer] and [Resetter] as well.
type Scheme interface {
	// Name returns the auth-scheme as registered, such as "Digest". It is
	// compared with the ones that a proxy offers without regard to case
	// (RFC 9110, Section 11.1).
	Name() string

	// NewSession begins an exchange. It must not keep ctx.
	//
	// The error wraps
	//
	//   - [ErrChallengeRequired] if the scheme can't begin before the proxy
	//     has sent a challenge;
	//   - [ErrUnsupportedChallenge] if the scheme can answer none of
	//     ex.Challenges;
	//   - [ErrRejected] if a third party, such as a KDC, has refused the
	//     credentials;
	//   - [ErrHeldBack] if the credentials must not be sent for a while; its
	//     method Retry() time.Time, if it has one, gives [Error.Retry];
	//   - [ErrForbidden] if a setting of the scheme forbids the answer.
	//
	// Any other error is a local failure, such as a missing ticket: the next
	// scheme is tried, and the error is reported in [Error.Tried]. An error
	// with a method Cause() Cause determines [Error.Cause], also where the
	// proxy then refuses a weaker scheme, and one with a method Hint() string
	// the result of [Error.Hint].
	NewSession(ctx context.Context, ex Exchange) (Session, error)
}

// SchemeProperties are what a [Transport] must know of a [Scheme].
type SchemeProperties struct {
	// BindsConnection means that the scheme authenticates the connection and
	// not the request, as NTLM and Negotiate do (RFC 4559, Section 6). All legs
	// of its exchange use one connection. Later requests on this connection
	// carry no authorization.
	BindsConnection bool

	// RevealsSecret means that whoever reads the authorization can read the
	// secret, as in Basic. See [Transport.ForbidCleartext].
	RevealsSecret bool

	// Ambient means that the scheme may have credentials of its own, such as
	// the tickets of the user who is logged in. If the [CredentialsProvider]
	// has no credentials, NewSession is called with the zero [Credentials].
	Ambient bool
}

// A Describer is a [Scheme] with properties. Those of a Scheme that is not a
// Describer are zero.
type Describer interface {
	Scheme

	// Properties returns the properties. They must not change after the
	// scheme's first use.
	Properties() SchemeProperties
}

// properties returns the properties of a scheme.
func properties(s Scheme) SchemeProperties {
	if d, ok := s.(Describer); ok {
		return d.Properties()
	}
	return SchemeProperties{}
}

// A Resetter is a [Scheme] with a memory, for example of tickets.
type Resetter interface {
	Scheme

	// Reset empties the memory. [Transport.Reset] calls it.
	Reset()
}

// An Exchange describes what a [Session] authenticates, and to which proxy. A
// scheme must not change it.
type Exchange struct {
	// Proxy is the proxy's URL, reduced to scheme, host and port.
	Proxy *url.URL

	// Credentials are the credentials to use.
	Credentials Credentials

	// Challenges holds the proxy's challenges for the scheme in the order in
	// which they came. It is empty if the proxy has not been asked yet.
	Challenges []Challenge

	// TLS is the state of the connection to an https:// proxy, for channel
	// bindings. It is nil for an http:// proxy, and for a scheme that does not
	// bind the connection.
	TLS *tls.ConnectionState

	// Accepted is a session of the same scheme and credentials that the proxy
	// has accepted, nil if there is none. Other goroutines may be using it. A
	// scheme may share what that session has learned, such as Digest's nonce. A
	// session that is an io.Closer is closed after its exchange, and is not here.
	Accepted Session

	// AcceptedHere reports whether Accepted was the last session on the
	// connection that the new one is for. A proxy may accept a nonce only on
	// the connection that it came on.
	AcceptedHere bool

	// Named reports whether the program has named the proxy as one that may have
	// credentials: [Transport.AllowProxy] is set, and allows it.
	Named bool
}

// A Session is one exchange of a [Scheme] with a proxy: the authentication of
// one request or, if the scheme binds it, of one connection. It is used by one
// goroutine at a time. A session that implements [io.Closer] is closed once,
// when it is no longer used.
//
// A session may implement [Continuer] and [Verifier] as well.
type Session interface {
	// Authorization returns the authorization for the next leg. It is called
	// once for each leg. Its errors are those of [Scheme.NewSession]; one that
	// wraps [ErrBodyNotReplayable] ends the exchange.
	Authorization(ctx context.Context, leg Leg) (Authorization, error)
}

// An Authorization is what a [Session] sends in one leg. It prints as
// "[redacted]", whatever the verb.
type Authorization struct {
	// Value is the value of the Proxy-Authorization field: the auth-scheme, a
	// space, and the rest. It must not be empty.
	Value string

	// More means that another leg must follow, as after NTLM's first message.
	// If it is false, this authorization should complete the exchange.
	More bool

	// Ticket means that the authorization puts no secret at stake: it carries
	// a ticket, as that of Kerberos does. The proxy's refusal is not counted
	// against an account.
	Ticket bool

	// Strength compares what the proxy may ask for within the scheme, such as
	// Digest's algorithms. More is stronger. A proxy that has asked for more is
	// not sent less: see [Transport.InsecureAllowDowngrade].
	Strength int

	// ChannelBound means that the authorization is bound to the TLS connection to
	// the proxy (RFC 5929), so that it is refused where the proxy sees another one.
	// [Error.Hint] says so of credentials that are refused.
	ChannelBound bool

	// Fallback is the local failure of something stronger within the scheme,
	// such as that of Kerberos where NTLM took its place. If the proxy refuses
	// the authorization, or breaks the handshake off, it is reported in
	// [Error.Tried], and determines Error.Cause and Error.Hint as an error of
	// NewSession does. Nil means that nothing failed.
	Fallback error
}

// String returns "[redacted]".
func (Authorization) String() string { return redacted }

// Format writes "[redacted]", whatever the verb and flags.
func (Authorization) Format(f fmt.State, verb rune) { io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (Authorization) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (Authorization) LogValue() slog.Value { return slog.StringValue(redacted) }

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
	// can be read only once, and if there is none, in which case HasBody is
	// false.
	GetBody func() (io.ReadCloser, error)
	HasBody bool
}

// Next says how an exchange proceeds after a 407. The zero value is GoOn.
type Next int

const (
	// GoOn means that the exchange continues with another leg, for which
	// Authorization is called.
	GoOn Next = iota

	// Refused means that the proxy has refused the credentials or, if the
	// authorization had Ticket set, the ticket. A session drops a ticket that
	// was refused.
	Refused

	// Stale means that the authorization was out of date, which says nothing
	// of the credentials. The session has taken over the challenges, and
	// Authorization is called once more.
	Stale

	// Broken means that the exchange has ended before the proxy decided on the
	// credentials. A new session may succeed.
	Broken

	// Complete means that the proxy has accepted the authorization. The 407 is
	// the origin server's, and is returned to the program.
	Complete
)

// String returns the constant's name, such as "GoOn".
func (n Next) String() string {
	switch n {
	case GoOn:
		return "GoOn"
	case Refused:
		return "Refused"
	case Stale:
		return "Stale"
	case Broken:
		return "Broken"
	case Complete:
		return "Complete"
	default:
		return fmt.Sprintf("Next(%d)", int(n))
	}
}

// A Continuer is a [Session] that examines a 407 to its authorization. For a
// session that is not a Continuer, such a 407 means Refused.
type Continuer interface {
	Session

	// Continue is given the challenges for the scheme in the 407 that answers
	// the last authorization. There may be none.
	//
	//   - A nil error: the exchange proceeds as Next says.
	//   - An error with Refused, Stale, Broken or Complete: the same, and the
	//     error is reported as the reason.
	//   - An error with GoOn: the scheme has failed, as in
	//     [Scheme.NewSession]. It may wrap [ErrUnsupportedChallenge].
	Continue(ctx context.Context, challenges []Challenge) (Next, error)
}

// A Verifier is a [Session] that examines an answer other than 407.
type Verifier interface {
	Session

	// Verify examines resp, the answer to the last authorization. For CONNECT,
	// it may look only at status and header. An error, which should wrap
	// [ErrNotVerified], means that the peer has not proved to be the proxy; resp
	// is then not used. Verify may replace resp.Body with a reader that fails.
	Verify(resp *http.Response) error
}

// Errors that a [Scheme] or [Session] wraps.
var (
	// ErrChallengeRequired means that a scheme can't begin an exchange before
	// the proxy has sent a challenge.
	ErrChallengeRequired = errors.New("proxyauth: scheme needs a challenge first")

	// ErrUnsupportedChallenge means that the scheme can answer none of the
	// challenges: all name an unknown algorithm, for example.
	ErrUnsupportedChallenge = errors.New("proxyauth: unsupported challenge")

	// ErrForbidden means that a setting of the program, which the text names,
	// forbids the answer: an algorithm is too weak, for example.
	ErrForbidden = errors.New("proxyauth: forbidden")

	// ErrRejected means that the credentials were refused. A scheme wraps it
	// if a third party, such as a KDC, refuses them.
	ErrRejected = errors.New("proxyauth: credentials rejected")

	// ErrHeldBack means that the credentials must not be sent for a while, in
	// any scheme, though they were not refused: a KDC has not answered whether
	// they are right, for example, or reports that the account is locked.
	ErrHeldBack = errors.New("proxyauth: credentials held back")

	// ErrNotVerified means that the peer has not proved to be the proxy, or that
	// its proof is wrong.
	ErrNotVerified = errors.New("proxyauth: proxy not verified")

	// ErrBodyNotReplayable means that a session needs to read the request's
	// body, which can be read only once.
	ErrBodyNotReplayable = httpmsg.ErrGone
)

// shareable returns s if it may outlast its exchange, nil if it has to be closed.
func shareable(s Session) Session {
	if _, ok := s.(io.Closer); ok {
		return nil
	}
	return s
}

func closeSession(s Session) {
	if c, ok := s.(io.Closer); ok {
		c.Close()
	}
}
