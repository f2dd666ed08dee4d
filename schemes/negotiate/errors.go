package negotiate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// An Error is a failure of [Scheme.NewSession] or of a session. Its text names the
// remedy. If several sources of tickets were tried, it has the failures of all of
// them: errors.Is(err, code) reports whether a [Code] is among them.
type Error struct {
	// Code is the failure that explains most.
	Code Code

	// Err is the error underneath. It wraps [proxyauth.ErrRejected] or
	// [proxyauth.ErrHeldBack] if the credentials must not be sent. It may be nil in an
	// Error that an [Engine] makes.
	Err error

	spn string // that was asked for, "" if it is not known
}

// Error returns the text of e.Err, or of e.Code if e.Err is nil.
func (e *Error) Error() string { return cmp.Or[error](e.Err, e.Code).Error() }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the Code of e, or of another failure that e has.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code != "" && (code == e.Code || errors.Is(e.Err, known(code).err))
}

// Cause returns the cause for [proxyauth.Error].
func (e *Error) Cause() proxyauth.Cause { return known(e.Code).cause }

// Retry returns when credentials that are held back may be sent again, for
// [proxyauth.Error]. It is the zero time if they are not held back, or if that is not
// known.
func (e *Error) Retry() time.Time {
	if r, ok := errors.AsType[retrier](e.Err); ok {
		return r.Retry()
	}
	return krb.RetryOf(e.Err)
}

// A retrier is an error of an [Engine] that says when the credentials may be sent again.
type retrier interface {
	error
	Retry() time.Time
}

// A Code is a failure of Kerberos. It is an error for use with [errors.Is].
type Code string

// Error returns the code as text.
func (c Code) Error() string { return "proxyauth: negotiate: " + string(c) }

// The codes.
const (
	// NoTicket means that there are no Kerberos credentials: no ticket cache, no
	// keytab, no password, or none that can be read.
	NoTicket Code = "no_ticket"

	// TicketExpired means that the ticket cache holds no ticket that is still
	// valid.
	TicketExpired Code = "ticket_expired"

	// CacheType means that the type of the ticket cache is not supported.
	CacheType Code = "cache_type"

	// ConfigFile means that krb5.conf, or a file that it includes, is damaged or
	// can't be read.
	ConfigFile Code = "config_file"

	// MalformedFile means that a ticket cache, a keytab or a krb5.conf is
	// damaged.
	MalformedFile Code = "malformed_file"

	// NoRealm means that the user's realm is unknown.
	NoRealm Code = "no_realm"

	// NoKDC means that no KDC is known for a realm.
	NoKDC Code = "no_kdc"

	// KDCUnreachable means that no KDC of a realm answers.
	KDCUnreachable Code = "kdc_unreachable"

	// NoVerdict means that the KDC was sent proof of the password, or of the
	// keytab's key, and has not answered, so that it may have counted a failure.
	// The secret is not sent again for a while, which is longer each time, or
	// until [Scheme.Reset]. KDCUnreachable is among the failures.
	NoVerdict Code = "no_verdict"

	// KDCRefuses means that the KDC refuses for a reason of its own. The text has
	// the code (RFC 4120, Section 7.5.9).
	KDCRefuses Code = "kdc_refuses"

	// MalformedReply means that a KDC's answer can't be understood.
	MalformedReply Code = "malformed_reply"

	// ClockSkew means that the clocks of client, KDC and proxy differ by more
	// than five minutes, or what is configured.
	ClockSkew Code = "clock_skew"

	// ClientUnknown means that the KDC does not know the user.
	ClientUnknown Code = "client_unknown"

	// ServiceUnknown means that the KDC does not know the proxy's service
	// principal, which the text names.
	ServiceUnknown Code = "service_unknown"

	// EncType means that there is no encryption type that all can use.
	EncType Code = "enctype"

	// PasswordWrong means that the KDC has refused the password or, if it asks
	// for no proof, that its reply can't be decrypted with it. The latter is not
	// [proxyauth.ErrRejected], since anybody may have made the reply.
	PasswordWrong Code = "password_wrong"

	// PasswordExpired means that the password must be changed. The error wraps
	// [proxyauth.ErrRejected] if the provider's password was proved to the KDC
	// before.
	PasswordExpired Code = "password_expired"

	// AccountRevoked means that the account is locked, disabled or expired. The
	// error wraps [proxyauth.ErrRejected] if the provider's password was proved
	// to the KDC before.
	AccountRevoked Code = "account_revoked"

	// KeytabStale means that the KDC has refused the key in the keytab. It is tried
	// again half an hour later.
	KeytabStale Code = "keytab_stale"

	// ProxyKey means that the proxy can't decrypt the ticket.
	ProxyKey Code = "proxy_key"

	// TicketRefused means that the proxy has refused a ticket.
	TicketRefused Code = "ticket_refused"

	// IPAddress means that the proxy is configured by its IP address, which has
	// no service principal.
	IPAddress Code = "ip_address"

	// NotVerified means that the proxy's answer was not made by the service that
	// the ticket is for. The error wraps [proxyauth.ErrNotVerified].
	NotVerified Code = "not_verified"

	// NoMutual means that the proxy has not proved who it is though
	// [Scheme.RequireMutual] is set. The error wraps [proxyauth.ErrNotVerified].
	NoMutual Code = "no_mutual"

	// NoPassword means that the proxy wants NTLM, and there is no password for
	// it, or NTLM is disabled.
	NoPassword Code = "no_password"
)

var (
	errTicketRefused = errors.New("proxyauth: negotiate: the proxy refuses the Kerberos ticket: check its keytab, its clock and whether the user is allowed")
	errDecrypted     = errors.New("something on the way decrypts TLS to the proxy: see InsecureOmitChannelBindings")
	errIPAddress     = errors.New("proxyauth: negotiate: Kerberos needs the proxy's host name, not its IP address: configure the name, or set SPN")
	errNoMutual      = errors.New("proxyauth: negotiate: the proxy has sent no mutual authentication: not every proxy can, clear RequireMutual to allow that")
	errNoPassword    = errors.New("proxyauth: negotiate: the proxy wants NTLM, for which there is no password")
	errNTLMDisabled  = fmt.Errorf("%w: NTLM inside Negotiate: see negotiate.Scheme.DisableNTLM and RequireMutual", proxyauth.ErrForbidden)
	errLogonNTLM     = fmt.Errorf("%w: NTLM inside Negotiate, as the user who is logged in, at an http:// proxy that Transport.AllowProxy does not name: see negotiate.Scheme.InsecureLogonNTLM", proxyauth.ErrForbidden)

	errClosed   = errors.New("proxyauth: negotiate: session used after Close")
	errLegs     = errors.New("proxyauth: negotiate: too many legs")
	errNoAnswer = errors.New("proxyauth: negotiate: the proxy does not answer NTLM")
	// The proxy wants Kerberos, which failed here: it is for the next scheme.
	errNoNTLM         = fmt.Errorf("%w: the proxy takes no NTLM in the place of Kerberos", proxyauth.ErrUnsupportedChallenge)
	errOtherMechanism = errors.New("proxyauth: negotiate: the proxy answers NTLM with another mechanism")
	errRejectsNTLM    = errors.New("proxyauth: negotiate: the proxy rejects NTLM")
	errToken          = errors.New("proxyauth: negotiate: the proxy's token is too long or not base64")
)

// A failure is what is known of a code.
type failure struct {
	code  Code
	err   error // that the error underneath wraps
	cause proxyauth.Cause
}

// failures has those that explain most first: an error may have several.
var failures = []failure{
	{NoMutual, errNoMutual, proxyauth.CauseProxyNotVerified},
	{NotVerified, proxyauth.ErrNotVerified, proxyauth.CauseProxyNotVerified},
	{PasswordWrong, krb.ErrPasswordWrong, proxyauth.CauseCredentialsRejected},
	{PasswordExpired, krb.ErrPasswordOld, proxyauth.CauseCredentialsRejected},
	{AccountRevoked, krb.ErrRevoked, proxyauth.CauseCredentialsRejected},
	{NoVerdict, krb.ErrNoVerdict, proxyauth.CauseKerberosFailed},
	{ClockSkew, krb.ErrClockSkew, proxyauth.CauseKerberosFailed},
	{ProxyKey, krb.ErrProxyKey, proxyauth.CauseKerberosFailed},
	{TicketRefused, errTicketRefused, proxyauth.CauseKerberosFailed},
	{IPAddress, errIPAddress, proxyauth.CauseKerberosFailed},
	{ServiceUnknown, krb.ErrServiceUnknown, proxyauth.CauseKerberosFailed},
	{ClientUnknown, krb.ErrClientUnknown, proxyauth.CauseKerberosFailed},
	{KeytabStale, krb.ErrKeytabStale, proxyauth.CauseKerberosFailed},
	{EncType, krb.ErrEncType, proxyauth.CauseKerberosFailed},
	{NoKDC, krb.ErrNoKDC, proxyauth.CauseKerberosFailed},
	{KDCUnreachable, krb.ErrKDCUnreachable, proxyauth.CauseKerberosFailed},
	{ConfigFile, krb.ErrConfig, proxyauth.CauseKerberosFailed},
	{NoRealm, krb.ErrNoRealm, proxyauth.CauseKerberosFailed},
	{MalformedReply, krb.ErrMalformedReply, proxyauth.CauseKerberosFailed},
	{KDCRefuses, krb.ErrKDC, proxyauth.CauseKerberosFailed},
	{TicketExpired, krb.ErrTicketExpired, proxyauth.CauseTicketMissing},
	{CacheType, krb.ErrCacheType, proxyauth.CauseTicketMissing},
	{MalformedFile, krb.ErrMalformedFile, proxyauth.CauseTicketMissing},
	{NoTicket, krb.ErrNoTicket, proxyauth.CauseTicketMissing},
	{NoPassword, errNoPassword, proxyauth.CauseSchemeFailed},
}

// known returns what is known of a code.
func known(code Code) failure {
	for _, f := range failures {
		if f.code == code {
			return f
		}
	}
	return failure{err: errors.New("unknown"), cause: proxyauth.CauseSchemeFailed}
}

// explained returns err as an *Error, if its code is known. It is about a ticket for spn,
// which is empty if that is not known.
func explained(err error, spn string) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	if errors.Is(err, spnego.ErrMIC) || errors.Is(err, krb.ErrNotVerified) || errors.Is(err, NotVerified) {
		err = notVerified{err}
	}
	for _, f := range failures {
		if errors.Is(err, f.err) || errors.Is(err, f.code) {
			return &Error{Code: f.code, Err: err, spn: spn}
		}
	}
	return err
}

// joined returns the errors of engine and sources as one, in which the one that explains
// more comes first. engine is nil if there is none, and the other is about spn.
func joined(engine, sources error, spn string) error {
	if engine == nil {
		return sources
	}
	sources = explained(sources, spn)
	e, _ := errors.AsType[*Error](sources)
	switch {
	case e != nil && e.Code == NoTicket: // no news, after the engine
		return engine
	case rank(sources) < rank(engine):
		return twoErrors{sources, engine}
	}
	return twoErrors{engine, sources}
}

// rank returns the place in failures of the code that err has.
func rank(err error) int {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return len(failures)
	}
	return slices.IndexFunc(failures, func(f failure) bool { return f.code == e.Code })
}

// twoErrors are two errors on one line.
type twoErrors [2]error

func (e twoErrors) Error() string {
	return e[0].Error() + "; " + strings.TrimPrefix(e[1].Error(), "proxyauth: negotiate: ")
}

func (e twoErrors) Unwrap() []error { return e[:] }
