package proxyauth

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/hint"
	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// Errors that say which hint fits.
var (
	errInside        = &hint.Error{Reason: hint.InCallback, Text: "proxyauth: a callback of the Transport makes this request through the proxy, which wants the credentials for it"}
	errIn401         = &hint.Error{Reason: hint.In401, Text: "proxyauth: a 401 with the realm of the proxy's own challenge"}
	errPreauthorized = &hint.Error{Reason: hint.Preauthorized, Text: "proxyauth: the Proxy-Authorization that the program itself put into the CONNECT was refused"}
	errWantsTLS      = &hint.Error{Reason: hint.WantsTLS, Text: "proxyauth: the proxy says that it speaks TLS"}
)

var errItself = errors.New("proxyauth: the proxy was asked to CONNECT to itself")

// failure returns the error of an exchange that has failed.
func (d *driver) failure() error {
	if e, ok := d.err.(*Error); ok && d.cause == "" {
		return e
	}
	return d.error(cmp.Or(d.cause, CauseProxyFailed), d.err)
}

// closed returns why no other leg can follow on the connection.
func (d *driver) closed() error {
	if d.last != nil && !d.last.ProtoAtLeast(1, 1) {
		return errHTTP10
	}
	return errClosed
}

// dialFailed says what the connection was for.
func (d *driver) dialFailed(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		own := *e
		own.Target, own.source = d.host, d.source()
		return &own
	}
	return err
}

// source returns where the proxy comes from.
func (d *driver) source() string {
	if d.connect {
		return d.p.proxySource("https")
	}
	return d.p.proxySource("http")
}

// proxySource returns where the proxy of a URL with the scheme comes from.
func (s *state) proxySource(scheme string) string {
	if !s.readsEnvironment() {
		return "Transport.Base.Proxy"
	}
	return proxyaddr.Variable(scheme)
}

// innermost returns the cause of the failure of a stronger scheme that could not be carried
// out on this machine, if there is one and cause is that of what took its place.
func (d *driver) innermost(cause Cause) Cause {
	if cause != CauseCredentialsRejected && cause != CauseHandshakeBroken && cause != CauseNoCommonScheme {
		return cause
	}
	return cmp.Or(causeOf(d.outranking()), cause)
}

// outranking returns the failure of a stronger scheme that could not be carried out on this
// machine, and names its cause; nil if there is none.
func (d *driver) outranking() error {
	for _, f := range d.failures {
		err := f.fallback
		if err == nil && f.local {
			err = f.err
		}
		if causeOf(err) != "" {
			return err
		}
	}
	return d.fallback
}

// error returns an *Error for the exchange.
func (d *driver) error(cause Cause, err error) *Error {
	cause = d.innermost(cause)
	e := &Error{Cause: cause, Op: d.op, Proxy: d.p.name, Target: d.host, Offered: d.offered(), Err: err, source: d.source()}
	if err == nil && e.connectsToItself() {
		e.Err = errItself
	}
	for _, s := range d.p.schemes {
		e.Enabled = append(e.Enabled, s.Name())
	}
	e.Tried = d.tried()
	switch {
	case d.heldErr != nil:
		e.Retry = d.heldErr.Until
	case cause == CauseHeldBack:
		e.Retry = retryOf(e)
	}
	if d.last != nil {
		header, body := d.last.Header, httpmsg.Kept(d.last)
		e.Status = d.last.StatusCode
		e.answer = func() (http.Header, []byte) { return header, body }
	}
	return e
}

// offered returns the auth-schemes of the challenges at hand, but for the name of one that is
// not enabled in which the proxy sends back what it was sent.
func (d *driver) offered() []string {
	names := schemesOf(d.challenges)
	for i, name := range names {
		if !d.isEnabled(name) && d.repeatsSecret(name) {
			names[i] = Secret{}.String()
		}
	}
	return names
}

func (d *driver) isEnabled(name string) bool {
	return slices.ContainsFunc(d.p.schemes, func(s Scheme) bool { return strings.EqualFold(s.Name(), name) })
}

// repeatsSecret reports whether text has the last secret or authorization that was sent in it.
func (d *driver) repeatsSecret(text string) bool {
	const short = 4 // what is shorter occurs by chance
	_, token, _ := strings.Cut(d.auth.Value, " ")
	sent := []string{strings.TrimRight(token, "=")}
	for _, l := range []*login{d.login, d.rejected} {
		if l != nil {
			sent = append(sent, l.creds.Password.Reveal())
		}
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(sent, func(s string) bool {
		s = strings.ToLower(s)
		return s != "" && (s == text || len(s) >= short && strings.Contains(text, s))
	})
}

// tried returns the failures of schemes.
func (d *driver) tried() (tried []*SchemeError) {
	for _, f := range d.failures {
		err := f.err
		if f.fallback != nil {
			err = &fallbackError{f.fallback, f.err}
		}
		tried = append(tried, &SchemeError{d.p.schemes[f.rank].Name(), err})
	}
	return tried
}

// refusalOf returns ErrRejected with what may be wrong with the credentials of l.
func (p *proxy) refusalOf(l *login) error {
	e := &hint.Error{Text: ErrRejected.Error(), Err: ErrRejected, ChannelBound: l.props.BindsConnection && p.channelBound.Load()}
	domain := strings.ContainsAny(l.creds.Username, `\@`)
	switch {
	case l.props.Ambient && l.creds.Username == "" && l.creds.Password.Reveal() == "":
		e.Reason, e.Text = hint.LogonRefused, e.Text+": those of the user who is logged in"
	case l.creds.Password.Reveal() == "":
		e.Reason, e.Text = hint.EmptyPassword, e.Text+": the password is empty"
	case domain && !l.props.BindsConnection:
		e.Reason = hint.DomainUnwanted
	case domain:
		e.Reason = hint.DomainOther
	default:
		e.Reason = hint.DomainMissing
	}
	return e
}

// A fallbackError is the failure of something stronger, and of what took its place.
type fallbackError struct{ fallback, err error }

func (e *fallbackError) Error() string {
	return e.fallback.Error() + "; what took its place: " + unprefixed(e.err.Error())
}

func (e *fallbackError) Unwrap() []error { return []error{e.fallback, e.err} }

// causeOf returns the cause that err names, "" if it names none.
func causeOf(err error) Cause {
	var c interface{ Cause() Cause }
	if errors.As(err, &c) {
		return c.Cause()
	}
	return ""
}

// retryOf returns when credentials that a scheme holds back may be sent again, the zero
// time if it does not say.
func retryOf(err error) time.Time {
	var r interface{ Retry() time.Time }
	if errors.As(err, &r) {
		return r.Retry()
	}
	return time.Time{}
}

// A kind says what an error of a scheme or of the provider means. It may mean several things.
type kind uint8

const (
	noCredentials kind = 1 << iota
	challengeRequired
	unsupported
	forbidden
	rejected
	heldBack
	bodyNotReplayable
	broken
)

// kinds are the errors that mean something.
var kinds = map[error]kind{
	ErrNoCredentials:        noCredentials,
	ErrChallengeRequired:    challengeRequired,
	ErrUnsupportedChallenge: unsupported,
	ErrForbidden:            forbidden,
	ErrRejected:             rejected,
	ErrHeldBack:             heldBack,
	ErrBodyNotReplayable:    bodyNotReplayable,
	errBroken:               broken,
}

func kindOf(err error) (k kind) {
	for target, bit := range kinds {
		if errors.Is(err, target) {
			k |= bit
		}
	}
	return k
}

// is reports whether k is one of those of other.
func (k kind) is(other kind) bool { return k&other != 0 }

// verdict returns the cause where no scheme is left.
func (d *driver) verdict() Cause {
	some, all := kind(0), ^kind(0)
	for _, f := range d.failures {
		some, all = some|f.kind, all&f.kind
	}
	switch {
	case some.is(forbidden):
		return CausePolicyForbids
	case all.is(unsupported): // or nothing in common at all
		return CauseNoCommonScheme
	case all.is(noCredentials):
		return CauseNoCredentials
	case schemeCause(d.tried()) != "":
		return schemeCause(d.tried())
	case d.failures[len(d.failures)-1].kind.is(broken):
		return CauseHandshakeBroken
	case all.is(rejected):
		return CauseCredentialsRejected
	}
	return CauseSchemeFailed
}

// alienCause returns what the peer is that has sent what is not HTTP, "" for another error.
func alienCause(err error) Cause {
	switch {
	case errors.Is(err, proxyconn.ErrTLSAnswer):
		return CauseProxyUnreachable
	case errors.Is(err, proxyconn.ErrNotHTTP), errors.Is(err, httpmsg.ErrGarbage):
		return CauseNotAProxy
	}
	return ""
}

// hasControls reports whether text would not survive in a header field.
func hasControls(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}
