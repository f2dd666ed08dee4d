package sspi

import (
	"fmt"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A status is a SECURITY_STATUS.
type status uint32

// The statuses that are told apart (winerror.h).
const (
	statusOK               status = 0
	statusContinue         status = 0x00090312
	statusNotSupported     status = 0x80090302
	statusTargetUnknown    status = 0x80090303
	statusPackageNotFound  status = 0x80090305
	statusInvalidToken     status = 0x80090308
	statusLogonDenied      status = 0x8009030c
	statusUnknownCreds     status = 0x8009030d
	statusNoCredentials    status = 0x8009030e
	statusMessageAltered   status = 0x8009030f
	statusNoAuthority      status = 0x80090311
	statusContextExpired   status = 0x80090317
	statusIncomplete       status = 0x80090318
	statusIncompleteCreds  status = 0x80090320
	statusWrongPrincipal   status = 0x80090322
	statusTimeSkew         status = 0x80090324
	statusUnknownEType     status = 0x80090342
	statusBadBindings      status = 0x80090346
	statusAlgorithmUnknown status = 0x80090331

	// statusNotWindows is that of systems without SSPI.
	statusNotWindows status = 0xffffffff
)

// A known is what is known of a status.
type known struct {
	name string
	code negotiate.Code
	text string
	hint string // empty for that of the code
}

// logOn is the hint where the user who is logged in has no ticket.
const logOn = "Windows has no Kerberos ticket for the user who is logged in. Log on with a domain account while a domain controller can be reached " +
	"(from outside, over the VPN), and look at the tickets with klist. Or supply user name and password (Transport.Credentials)."

// logOnNTLM is the hint where the user who is logged in can't use NTLM.
const logOnNTLM = "Windows can't answer NTLM for the user who is logged in: there is no password of this logon, or a policy forbids NTLM. " +
	"Supply user name and password (Transport.Credentials)."

// unknownHint is the hint for other statuses.
const unknownHint = "Windows fails to make a Kerberos token, with the status in the error (winerror.h). The system's event log may have the reason, and klist get HTTP/host shows it."

var statuses = map[status]known{
	statusNoCredentials:    {"SEC_E_NO_CREDENTIALS", negotiate.NoTicket, "Windows has no ticket for the user who is logged in", logOn},
	statusUnknownCreds:     {"SEC_E_UNKNOWN_CREDENTIALS", negotiate.NoTicket, "Windows has no ticket for the user who is logged in", logOn},
	statusIncompleteCreds:  {"SEC_E_INCOMPLETE_CREDENTIALS", negotiate.NoTicket, "Windows has no ticket for the user who is logged in", logOn},
	statusContextExpired:   {"SEC_E_CONTEXT_EXPIRED", negotiate.TicketExpired, "the ticket has expired", "The Kerberos ticket has expired. Lock the screen and unlock it, or log on again, while a domain controller can be reached."},
	statusTargetUnknown:    {"SEC_E_TARGET_UNKNOWN", negotiate.ServiceUnknown, "the domain does not know the proxy's service principal", ""},
	statusWrongPrincipal:   {"SEC_E_WRONG_PRINCIPAL", negotiate.ProxyKey, "the proxy can't decrypt the ticket, or is another than it was taken for", ""},
	statusTimeSkew:         {"SEC_E_TIME_SKEW", negotiate.ClockSkew, "the clocks of this computer and the domain controller differ too much", ""},
	statusNoAuthority:      {"SEC_E_NO_AUTHENTICATING_AUTHORITY", negotiate.KDCUnreachable, "no domain controller answers", ""},
	statusLogonDenied:      {"SEC_E_LOGON_DENIED", negotiate.KDCRefuses, "Windows denies the logon", "Windows denies the logon of the user who is logged in: the password may have been changed or have expired, or the account be locked. Log on again."},
	statusUnknownEType:     {"SEC_E_KDC_UNKNOWN_ETYPE", negotiate.EncType, "no encryption type in common", ""},
	statusAlgorithmUnknown: {"SEC_E_ALGORITHM_MISMATCH", negotiate.EncType, "no encryption type in common", ""},
	statusBadBindings:      {"SEC_E_BAD_BINDINGS", negotiate.TicketRefused, "the channel bindings differ", ""},
	statusInvalidToken:     {"SEC_E_INVALID_TOKEN", negotiate.NotVerified, "the proxy's token is wrong", ""},
	statusIncomplete:       {"SEC_E_INCOMPLETE_MESSAGE", negotiate.NotVerified, "the proxy's token is cut", ""},
	statusMessageAltered:   {"SEC_E_MESSAGE_ALTERED", negotiate.NotVerified, "the proxy's token was changed", ""},
	statusPackageNotFound:  {"SEC_E_SECPKG_NOT_FOUND", negotiate.NoTicket, "Windows does not have the security package", logOn},
	statusNotSupported:     {"SEC_E_UNSUPPORTED_FUNCTION", negotiate.NoTicket, "Windows does not have the security package", logOn},
}

// A failure is an error of SSPI.
type failure struct {
	codes []error
	text  string
	hint  string
	retry time.Time
}

// Error returns the text.
func (f *failure) Error() string { return "proxyauth: sspi: " + f.text }

// Unwrap returns the code, and what else the error is.
func (f *failure) Unwrap() []error { return f.codes }

// Cause returns the cause for [proxyauth.Error] where NTLM is a scheme of its own.
func (f *failure) Cause() proxyauth.Cause { return proxyauth.CauseSchemeFailed }

// Hint returns what fixes it, for [negotiate.Error].
func (f *failure) Hint() string { return f.hint }

// Retry returns when the credentials may be sent again, for [negotiate.Error].
func (f *failure) Retry() time.Time { return f.retry }

// newFailure returns the error for a status of a call. explicit says that a password was
// given, and later that it was not the first call of a context.
func newFailure(call string, st status, pkg Package, explicit, later bool) error {
	if st == statusNotWindows {
		return ErrNotWindows
	}
	k, ok := statuses[st]
	if !ok {
		k = known{call + " of package " + string(pkg), negotiate.KDCRefuses, "Windows fails", unknownHint}
	}
	switch {
	case k.code == negotiate.NotVerified && !later: // no token was seen: so says Wine that there is no ticket
		k = known{k.name, negotiate.NoTicket, statuses[statusNoCredentials].text, logOn}
	case st == statusLogonDenied && explicit:
		k.code, k.text, k.hint = negotiate.PasswordWrong, "the domain controller refuses the password", ""
	}
	if pkg == ntlmPackage && (k.code == negotiate.NoTicket || k.code == negotiate.NotVerified) {
		k.code, k.text, k.hint = negotiate.NoTicket, "Windows can't answer NTLM", logOnNTLM
	}
	f := &failure{codes: []error{k.code}, text: fmt.Sprintf("%s (%s, 0x%08x)", k.text, k.name, uint32(st)), hint: k.hint}
	if k.code == negotiate.PasswordWrong {
		f.codes = append(f.codes, proxyauth.ErrRejected)
	}
	if explicit && pkg == Kerberos && k.code == negotiate.NoTicket {
		f.hint = "Windows can't log the user in with the password. Give the name as DOMAIN\\user, and check that a domain controller can be reached."
	}
	return f
}
