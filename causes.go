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

// hints holds the hint for each cause, of one or two sentences. What Hint knows of the
// error is put in place of the verbs in some; others it has in several forms.
var hints = map[Cause]string{
	CauseNoCredentials: "No user name and password are known for this proxy%s. Set Transport.Credentials, " +
		"or put them into the proxy's URL (HTTPS_PROXY=http://user:password@host:port).",
	CauseCredentialsRejected: "The proxy refused the user name or password: %s. " +
		"They are not sent again, to spare the account, until the provider returns others or Transport.Reset is called.",
	CauseDenied: "The proxy does not allow this target to this user, or the password has changed. " +
		"Ask whoever runs the proxy whether the user may reach the host and port.",
	CauseHeldBack: "The credentials were not sent, to spare the account: earlier attempts with them got no answer, or are still under way. " +
		"They are sent again at the time in Error.Retry, when one of those attempts is accepted, or after Transport.Reset.",
	CauseNoCommonScheme: "Enable one of the proxy's schemes in Transport.Schemes, or one of the program's at the proxy.",
	CauseNoChallenge: "The proxy wants authentication but does not say how: it is misconfigured, something else answers on this port, " +
		"or, if it has accepted the credentials, the 407 is the origin server's. " +
		unaskedHint,
	CauseMalformedChallenge: "The proxy's Proxy-Authenticate field, which Error.Header has, breaks the syntax of RFC 9110, Section 11.6.1, " +
		"often by a quote in a realm. Ask whoever runs the proxy to mend it.",
	CausePolicyForbids: "The field that the error names relaxes the rule.",
	CauseTicketMissing: "There is no Kerberos ticket that can be used. Run kinit, and check that KRB5CCNAME names the ticket cache.",
	CauseKerberosFailed: "Kerberos failed on this machine. Check that the clock is right, that port 88 of the KDC can be reached, " +
		"and that the proxy is configured by the host name for which it has a service principal (HTTP/host).",
	CauseSchemeFailed: "No scheme that the proxy offers could be carried out on this machine. The error of each is listed.",
	CauseHandshakeBroken: "The proxy, or a firewall or load balancer before it, broke off the handshake: " +
		"NTLM and Negotiate need keep-alive connections to one and the same proxy, and Digest needs nonces that all machines behind one name know. " +
		"Some proxies break it off when the password is wrong; it is then not sent again for a while, to spare the account.",
	CauseProxyNotVerified: "The peer did not prove that it knows the secret. It may not be your proxy.",
	CauseProxyURLInvalid: "The URL of the proxy in %s can't be used: it has the form http://user:password@host:port. " +
		`In user name and password, percent-encode \ as %%5C, @ as %%40, : as %%3A, / as %%2F, # as %%23 and %% as %%25.`,
	CauseProxyUnreachable: "No connection to the proxy. Check its host and port.",
	CauseNotAProxy: "Something other than an HTTP proxy, or a proxy that does not allow CONNECT, answers on %s. " +
		"Check the proxy's host and port in %s.",
	CauseTargetUnreachable: "The proxy can't reach the target, %s. Check its name and port, and whether the proxy may connect to it; Error.Body has the proxy's words.",
	CauseProxyFailed:       "The proxy could not serve the request. The status is its own; ask whoever runs the proxy.",
	CauseBodyNotReplayable: "The proxy asked for authentication when the request's body was already on its way. Set Request.GetBody.",
}

// unaskedHint is what may help where a proxy turns a CONNECT down without a challenge.
const unaskedHint = "For a proxy that expects Basic without asking, set Transport.Preemptive."

// unknownForm is the hint of CauseNoCommonScheme if the proxy offers a scheme
// that is enabled.
const unknownForm = "The proxy offers a scheme that this program has enabled, but in no form that it knows and allows, " +
	"such as an algorithm of Digest; the error of each is listed. Ask whoever runs the proxy for another."
