package proxyauth

import (
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/printable"
)

// A Cause is one of the known reasons why a request does not get through a
// proxy. Its text is stable: it is meant for JSON, metrics and comparisons. The
// zero value is not a cause.
type Cause string

// The causes.
const (
	// CauseNoCredentials: the provider has no credentials for this proxy.
	CauseNoCredentials Cause = "no_credentials"

	// CauseCredentialsRejected: the proxy, or a KDC, has refused the
	// credentials.
	CauseCredentialsRejected Cause = "credentials_rejected"

	// CauseDenied: the proxy has refused credentials that it had accepted, or has
	// answered a CONNECT with 403. Either the target is not allowed to this user,
	// or the password has changed.
	CauseDenied Cause = "denied"

	// CauseHeldBack: the credentials are not sent at the moment, to spare the
	// account. [Error.Retry] says until when. Nothing was sent.
	CauseHeldBack Cause = "held_back"

	// CauseNoCommonScheme: the proxy offers none of the schemes in
	// [Transport.Schemes].
	CauseNoCommonScheme Cause = "no_common_scheme"

	// CauseNoChallenge: a 407 without a usable Proxy-Authenticate field.
	CauseNoChallenge Cause = "no_challenge"

	// CauseMalformedChallenge: a 407 whose Proxy-Authenticate field can't be
	// parsed.
	CauseMalformedChallenge Cause = "malformed_challenge"

	// CausePolicyForbids: a setting of the program forbids the answer.
	CausePolicyForbids Cause = "policy_forbids"

	// CauseTicketMissing: there is no Kerberos ticket, it has expired, it
	// belongs to another user, or its cache can't be read.
	CauseTicketMissing Cause = "ticket_missing"

	// CauseKerberosFailed: Kerberos could not be carried out: the KDC does not
	// answer, does not know the proxy, or the clocks differ.
	CauseKerberosFailed Cause = "kerberos_failed"

	// CauseSchemeFailed: a scheme failed on this machine for another reason.
	CauseSchemeFailed Cause = "scheme_failed"

	// CauseHandshakeBroken: the handshake was broken off, or goes in circles.
	CauseHandshakeBroken Cause = "handshake_broken"

	// CauseProxyNotVerified: the proxy did not prove that it knows the secret.
	CauseProxyNotVerified Cause = "proxy_not_verified"

	// CauseProxyURLInvalid: the URL of the proxy can't be used.
	CauseProxyURLInvalid Cause = "proxy_url_invalid"

	// CauseProxyUnreachable: name resolution, TCP or TLS to the proxy failed.
	CauseProxyUnreachable Cause = "proxy_unreachable"

	// CauseNotAProxy: the peer does not know CONNECT, or does not speak HTTP.
	CauseNotAProxy Cause = "not_a_proxy"

	// CauseTargetUnreachable: the proxy can't reach the target.
	CauseTargetUnreachable Cause = "target_unreachable"

	// CauseProxyFailed: the proxy answered with another error, or not at all.
	CauseProxyFailed Cause = "proxy_failed"

	// CauseBodyNotReplayable: the proxy challenged a request whose body can't
	// be sent again.
	CauseBodyNotReplayable Cause = "body_not_replayable"
)

// words returns the cause as it stands in an error.
func (c Cause) words() string {
	if c == "" {
		return "unknown cause"
	}
	return printable.Text(strings.ReplaceAll(string(c), "_", " "))
}
