package doctor

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// sentences say what the causes of the library mean, in the words of a verdict.
var sentences = map[proxyauth.Cause]string{
	proxyauth.CauseNoCredentials:      "the proxy asks for a user name and password, and none were found",
	proxyauth.CauseDenied:             "the proxy does not allow this target",
	proxyauth.CauseHeldBack:           "the password is held back, to spare the account",
	proxyauth.CauseNoCommonScheme:     "the proxy offers no scheme that can be used here",
	proxyauth.CauseNoChallenge:        "the proxy asks for authentication, and does not say how",
	proxyauth.CauseMalformedChallenge: "the proxy asks for authentication in a way that can't be read",
	proxyauth.CausePolicyForbids:      "a rule forbids to answer the proxy",
	proxyauth.CauseTicketMissing:      "there is no Kerberos ticket that can be used",
	proxyauth.CauseKerberosFailed:     "Kerberos fails",
	proxyauth.CauseSchemeFailed:       "no scheme that the proxy offers can be carried out here",
	proxyauth.CauseHandshakeBroken:    "the proxy breaks off the handshake",
	proxyauth.CauseProxyNotVerified:   "the proxy does not prove that it knows the secret: it may be another one",
	proxyauth.CauseProxyURLInvalid:    "the proxy's URL can't be used",
	proxyauth.CauseProxyUnreachable:   "there is no connection to the proxy",
	proxyauth.CauseNotAProxy:          "what answers is no proxy, or one that does not allow CONNECT",
	proxyauth.CauseTargetUnreachable:  "the proxy can't reach the target",
	proxyauth.CauseProxyFailed:        "the proxy can't serve the request",
}

// judgeError returns the verdict on an error of the library. What is in the way of Kerberos
// outranks what became of NTLM, which may have taken its place.
func (d *diagnosis) judgeError(e *proxyauth.Error) *Verdict {
	if isPortals(e) {
		return d.portalOf(e.Op, e.Status, e.Header())
	}
	if d.blocked == nil || !d.tookItsPlace(e) {
		v := finding(e.Cause, d.verdictText(e), d.fix(e))
		if d.opensUnasked && e.Status == http.StatusProxyAuthRequired {
			v.Fix += " The proxy opens tunnels without a question, so that the 407 may be the target's own, or of another proxy behind this one."
		}
		return v
	}
	v := finding(proxyauth.CauseKerberosFailed, "Kerberos fails: "+d.blocked.text, d.blocked.fix)
	if d.credentials != nil && errors.Is(e, proxyauth.ErrRejected) {
		v.Text += "; the proxy refuses the password in NTLM, which took its place"
		v.Fix += " The password may be wrong as well."
	}
	return v
}

// waitsForKerberos reports whether the time ended while Kerberos, to which there is an obstacle,
// was to answer a challenge: it is no silence of the proxy.
func (d *diagnosis) waitsForKerberos(o *outcome) bool {
	return d.blocked != nil && o.failure() == nil && !o.passed() && o.asked
}

// tookItsPlace reports whether the error is that of Kerberos, or of NTLM inside Negotiate.
func (d *diagnosis) tookItsPlace(e *proxyauth.Error) bool {
	switch e.Cause {
	case proxyauth.CauseKerberosFailed, proxyauth.CauseHandshakeBroken, proxyauth.CauseSchemeFailed, proxyauth.CauseNoCommonScheme:
		return true
	case proxyauth.CauseTicketMissing:
		return d.setup.ConfigErr != nil // without which there is no ticket
	case proxyauth.CauseCredentialsRejected:
		_, byKDC := kerberosError(e)
		return !byKDC && d.last == "Negotiate"
	}
	return false
}

// verdictText returns what the library's error means, in one line.
func (d *diagnosis) verdictText(e *proxyauth.Error) string {
	text, known := sentences[e.Cause]
	switch {
	case isUnanswered(e):
		return "no answer comes back, from the proxy or from the target behind it"
	case isOrigins407(e):
		return "the proxy accepts the credentials, and the target itself answers 407"
	case isIn401(e):
		return "the user name or password may be wrong: 401 comes back in the realm of the proxy's own challenge"
	case e.Cause == proxyauth.CauseCredentialsRejected:
		text = d.whoRefuses(e) + " refuses the user name or password"
	case e.Cause == proxyauth.CauseKerberosFailed || e.Cause == proxyauth.CauseHeldBack:
		if k, ok := kerberosError(e); ok {
			text += ": " + d.secrets.clean(short(k))
		}
	case !known:
		text = strings.ReplaceAll(string(e.Cause), "_", " ")
	}
	if e.Status != 0 && e.Status != http.StatusProxyAuthRequired {
		text += ": it answers " + statusText(e.Status)
	}
	return text
}

// whoRefuses tells a refusal of the KDC, which the proxy knows nothing of, from the proxy's.
func (d *diagnosis) whoRefuses(e *proxyauth.Error) string {
	if _, kerberos := kerberosError(e); kerberos {
		return "the KDC"
	}
	return "the proxy"
}

// isUnanswered reports whether a request has got no answer, of which nobody can say whose it
// would have been.
func isUnanswered(e *proxyauth.Error) bool {
	return e.Cause == proxyauth.CauseProxyFailed && e.Status == 0
}

// isOrigins407 reports whether the proxy has accepted the credentials that it then, it seems,
// asks for again.
func isOrigins407(e *proxyauth.Error) bool {
	return e.Cause == proxyauth.CauseNoChallenge && e.Err != nil
}

// isIn401 reports whether a 401 to a forwarded request may be the proxy's refusal.
func isIn401(e *proxyauth.Error) bool {
	return e.Cause == proxyauth.CauseCredentialsRejected && e.Status == http.StatusUnauthorized && e.Op != http.MethodConnect
}

// whatFailed returns the errors that the library's error is made of, a line for each. That there
// are no credentials is known by then.
func (d *diagnosis) whatFailed(e *proxyauth.Error) (lines []string) {
	add := func(err error, prefix string) {
		if err == nil || errors.Is(err, proxyauth.ErrNoCredentials) {
			return
		}
		line := prefix + d.secrets.clean(short(err))
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for _, t := range e.Tried {
		add(t.Err, t.Scheme+": ")
	}
	add(e.Err, "")
	return lines
}
