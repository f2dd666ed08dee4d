package krb

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/messages"
)

// errorPrefix begins the text of each cause.
const errorPrefix = "proxyauth: negotiate: "

// The causes of a failure. They are told apart since each has a remedy of its
// own, which its text names.
var (
	ErrNoTicket       = errors.New("proxyauth: negotiate: no Kerberos credentials: " + withoutTicket(runtime.GOOS))
	ErrTicketExpired  = errors.New("proxyauth: negotiate: the Kerberos ticket has expired: run kinit")
	ErrCacheType      = errors.New("proxyauth: negotiate: ticket cache of a type that can't be read here: " + withoutCache(runtime.GOOS))
	ErrMalformedFile  = errors.New("proxyauth: negotiate: malformed file")
	ErrConfig         = errors.New("proxyauth: negotiate: krb5.conf can't be used")
	ErrNoRealm        = errors.New("proxyauth: negotiate: Kerberos realm unknown: give the user as user@REALM, or set default_realm in krb5.conf")
	ErrNoKDC          = errors.New("proxyauth: negotiate: no KDC known for the realm: add it to [realms] in krb5.conf, or publish it in DNS")
	ErrKDCUnreachable = errors.New("proxyauth: negotiate: KDC unreachable: check network, name and port 88 (TCP)")
	ErrNoVerdict      = fmt.Errorf("proxyauth: negotiate: the KDC was sent proof of the password, or key, and has not answered whether it is right: check the network to the KDC, its load and its log; it is not sent again for a while, to spare the account%w", silent{ErrKDCUnreachable})
	ErrKDC            = errors.New("proxyauth: negotiate: the KDC refuses the request")
	ErrClockSkew      = errors.New("proxyauth: negotiate: clocks differ too much for Kerberos: synchronise the time (NTP)")
	ErrClientUnknown  = errors.New("proxyauth: negotiate: the KDC does not know the user: check user name and realm")
	ErrServiceUnknown = errors.New("proxyauth: negotiate: the KDC does not know the proxy's service principal")
	ErrEncType        = errors.New("proxyauth: negotiate: no encryption type in common: compare permitted_enctypes in krb5.conf with what KDC and accounts support")
	ErrPasswordWrong  = errors.New("proxyauth: negotiate: the KDC refuses the password; it is not sent again, to spare the account")
	ErrUndecipherable = errors.New("proxyauth: negotiate: the KDC's reply can't be decrypted: the password, or the keytab's key, is wrong, or the reply is not the KDC's; it is not used again for a while")
	ErrPasswordOld    = errors.New("proxyauth: negotiate: the password has expired: change it")
	ErrRevoked        = errors.New("proxyauth: negotiate: the account is locked, disabled or expired")
	ErrKeytabStale    = errors.New("proxyauth: negotiate: the KDC refuses the keytab's key: the account's password was changed, export the keytab anew")
	ErrProxyKey       = errors.New("proxyauth: negotiate: the proxy can't decrypt the ticket: its keytab does not match the account that holds the service principal")
	ErrMalformedReply = errors.New("proxyauth: negotiate: malformed Kerberos message")
	ErrProxyReports   = errors.New("proxyauth: negotiate: the proxy reports Kerberos error")
	ErrNotVerified    = errors.New("proxyauth: negotiate: the proxy's mutual authentication is wrong: this may not be your proxy")
)

// withoutTicket says what to do on a system where there is no ticket. On Windows it is the
// logon session that has one, not what kinit writes. On macOS kinit writes to a cache that
// nothing else can read, unless it is told of a file.
func withoutTicket(goos string) string {
	switch goos {
	case "windows":
		return "supply user and password, use the logon session (negotiate.Scheme.Engine), or name a keytab"
	case "darwin":
		return "run kinit -c FILE:/tmp/krb5cc_$UID, name a keytab, or supply user and password"
	}
	return "run kinit, name a keytab, or supply user and password"
}

// withoutCache says what to do on a system where a type of ticket cache can't be read.
func withoutCache(goos string) string {
	if goos == "windows" {
		return "supply user and password, or use the logon session (negotiate.Scheme.Engine)"
	}
	return "set KRB5CCNAME=FILE:/path/of/a/file and run kinit"
}

// codes maps the error codes of RFC 4120, Section 7.5.9 that have a cause of
// their own.
var codes = map[int32]error{
	errorcode.KDC_ERR_NAME_EXP:            ErrRevoked,
	errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN: ErrClientUnknown,
	errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN: ErrServiceUnknown,
	errorcode.KDC_ERR_SERVICE_EXP:         ErrServiceUnknown,
	errorcode.KDC_ERR_NULL_KEY:            ErrEncType,
	errorcode.KDC_ERR_NEVER_VALID:         ErrClockSkew,
	errorcode.KDC_ERR_ETYPE_NOSUPP:        ErrEncType,
	errorcode.KDC_ERR_CLIENT_REVOKED:      ErrRevoked,
	errorcode.KDC_ERR_KEY_EXPIRED:         ErrPasswordOld,
	errorcode.KDC_ERR_WRONG_REALM:         ErrClientUnknown,
	errorcode.KRB_AP_ERR_TKT_EXPIRED:      ErrTicketExpired,
	errorcode.KRB_AP_ERR_TKT_NYV:          ErrClockSkew,
	errorcode.KRB_AP_ERR_SKEW:             ErrClockSkew,
}

// sourceError returns the error for the errors of all sources that were tried.
// That there is no ticket cache is news only where nothing else was to be had.
func sourceError(errs []error) error {
	if n := len(errs); n > 0 && !errors.Is(errs[n-1], ErrNoTicket) {
		errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, ErrNoTicket) })
	}
	switch len(errs) {
	case 0:
		return ErrNoTicket
	case 1:
		return errs[0]
	}
	return sourceErrors(errs)
}

// sourceErrors are the errors of several sources.
type sourceErrors []error

// Error returns the errors on one line.
func (e sourceErrors) Error() string {
	var texts []string
	for i, err := range e {
		text := err.Error()
		if i > 0 {
			text = strings.TrimPrefix(text, errorPrefix)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors.
func (e sourceErrors) Unwrap() []error { return e }

// kdcError puts the KDC's error in words. Its e-text is left out: it may name
// the user, and anybody on the way may have written it.
func kdcError(e *messages.KRBError) error {
	cause, ok := codes[e.ErrorCode]
	switch {
	case inTrouble(e):
		return fmt.Errorf("%w%w", because(ErrKDC, "KDC: error %d", e.ErrorCode), silent{errTrouble})
	case !ok:
		return because(ErrKDC, "KDC: error %d", e.ErrorCode)
	}
	return fmt.Errorf("%w (KDC: error %d)", cause, e.ErrorCode)
}

// proxyError puts an error token of the proxy in words.
func proxyError(e *messages.KRBError) error {
	err := fmt.Errorf("%w %d", ErrProxyReports, e.ErrorCode)
	switch e.ErrorCode {
	case errorcode.KRB_AP_ERR_MODIFIED, errorcode.KRB_AP_ERR_BADKEYVER,
		errorcode.KRB_AP_ERR_NOKEY, errorcode.KRB_AP_ERR_NOT_US, errorcode.KRB_AP_ERR_BAD_INTEGRITY:
		return fmt.Errorf("%w: %w", err, ErrProxyKey)
	}
	if cause, ok := codes[e.ErrorCode]; ok {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
