package negotiate

import (
	"errors"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// Errors of [Scheme.NewSession] and of the sessions. What is local is told
// apart, since each cause has another remedy, which the text names where it is in
// the user's hands. The error returned wraps one of them, or several if several
// sources of tickets were tried.
var (
	// ErrNoTicket means that there are no Kerberos credentials: no ticket
	// cache, no keytab, no password, or none that can be read. The text has
	// the file.
	ErrNoTicket = krb.ErrNoTicket

	// ErrTicketExpired means that the ticket cache holds no ticket that is
	// still good: kinit gets one.
	ErrTicketExpired = krb.ErrTicketExpired

	// ErrCacheType means that the ticket cache is not a file: KEYRING, KCM,
	// API and so on can only be read by the system's own library.
	ErrCacheType = krb.ErrCacheType

	// ErrMalformedFile means that a ticket cache, a keytab or a krb5.conf is
	// damaged.
	ErrMalformedFile = krb.ErrMalformedFile

	// ErrNoRealm means that the user's realm is unknown.
	ErrNoRealm = krb.ErrNoRealm

	// ErrNoKDC means that no KDC is known for a realm.
	ErrNoKDC = krb.ErrNoKDC

	// ErrKDCUnreachable means that no KDC of a realm answers.
	ErrKDCUnreachable = krb.ErrKDCUnreachable

	// ErrNoVerdict means that the KDC was sent proof of the password, or of the
	// keytab's key, and has not answered, so that it may have counted a failure.
	// The secret is not sent again for a while, which is longer each time, or
	// until [Scheme.Forget]. An error that wraps it wraps ErrKDCUnreachable, too.
	ErrNoVerdict = krb.ErrNoVerdict

	// ErrKDC means that the KDC refuses for a reason of its own. The text has
	// the code (RFC 4120, Section 7.5.9).
	ErrKDC = krb.ErrKDC

	// ErrMalformedReply means that a KDC's answer can't be understood.
	ErrMalformedReply = krb.ErrMalformedReply

	// ErrClockSkew means that the clocks of client, KDC and proxy differ by more
	// than five minutes, or what is configured.
	ErrClockSkew = krb.ErrClockSkew

	// ErrClientUnknown means that the KDC does not know the user.
	ErrClientUnknown = krb.ErrClientUnknown

	// ErrServiceUnknown means that the KDC does not know the proxy's service
	// principal, which the text names.
	ErrServiceUnknown = krb.ErrServiceUnknown

	// ErrEncType means that there is no encryption type that all can use.
	ErrEncType = krb.ErrEncType

	// ErrPasswordWrong means that the KDC has refused the password or, if it
	// asks for no proof, that its reply can't be decrypted with it. An error of
	// a Scheme or session that wraps it wraps [proxyauth.ErrRejected], too.
	ErrPasswordWrong = krb.ErrPasswordWrong

	// ErrPasswordExpired means that the password must be changed. An error
	// that wraps it wraps [proxyauth.ErrRejected], too, if it is the
	// provider's password, and was proved to the KDC before that said so.
	ErrPasswordExpired = krb.ErrPasswordOld

	// ErrAccountRevoked means that the account is locked, disabled or expired.
	// An error that wraps it wraps [proxyauth.ErrRejected], too, if the
	// provider's password was proved to the KDC before that said so.
	ErrAccountRevoked = krb.ErrRevoked

	// ErrKeytabStale means that the KDC has refused the key in the keytab.
	ErrKeytabStale = krb.ErrKeytabStale

	// ErrProxyKey means that the proxy can't decrypt the ticket.
	ErrProxyKey = krb.ErrProxyKey

	// ErrNotVerified means that the proxy's answer was not made by the service
	// that the ticket is for.
	ErrNotVerified = krb.ErrNotVerified

	// ErrTicketRefused means that the proxy has refused a ticket.
	ErrTicketRefused = errors.New("proxyauth: negotiate: the proxy refuses the Kerberos ticket: check its keytab, its clock and whether the user is allowed")

	// ErrIPAddress means that the proxy is configured by its IP address, which
	// has no service principal.
	ErrIPAddress = errors.New("proxyauth: negotiate: Kerberos needs the proxy's host name, not its IP address: configure the name, or set ServicePrincipal")

	// ErrNoMutual means that the proxy has not proved who it is though
	// [Scheme.RequireMutual] wants it.
	ErrNoMutual = errors.New("proxyauth: negotiate: the proxy has sent no mutual authentication: not every proxy can, clear RequireMutual to allow that")

	// ErrNoPassword means that the proxy wants NTLM and there is no password for
	// it, or it is not allowed.
	ErrNoPassword = errors.New("proxyauth: negotiate: the proxy wants NTLM, for which there is no password")
)

var (
	errLegs           = errors.New("proxyauth: negotiate: too many legs")
	errNoAnswer       = errors.New("proxyauth: negotiate: the proxy does not answer NTLM")
	errOtherMechanism = errors.New("proxyauth: negotiate: the proxy answers NTLM with another mechanism")
	errRejectsNTLM    = errors.New("proxyauth: negotiate: the proxy rejects NTLM")
	errToken          = errors.New("proxyauth: negotiate: the proxy's token is too long or not base64")
)
