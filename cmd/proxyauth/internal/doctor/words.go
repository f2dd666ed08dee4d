package doctor

import (
	"errors"
	"fmt"
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
	if d.blocked == nil || !d.tookItsPlace(e) {
		return finding(e.Cause, d.verdictText(e), d.fix(e))
	}
	v := finding(proxyauth.CauseKerberosFailed, "Kerberos fails: "+d.blocked.text, d.blocked.fix)
	if e.Cause == proxyauth.CauseCredentialsRejected {
		v.Text += "; the proxy refuses the password in NTLM, which took its place"
		v.Fix += " The password may be wrong as well."
	}
	return v
}

// tookItsPlace reports whether the error is that of Kerberos, or of NTLM inside Negotiate.
func (d *diagnosis) tookItsPlace(e *proxyauth.Error) bool {
	switch e.Cause {
	case proxyauth.CauseKerberosFailed, proxyauth.CauseHandshakeBroken, proxyauth.CauseSchemeFailed:
		return true
	case proxyauth.CauseCredentialsRejected:
		_, byKDC := kerberosError(e)
		return !byKDC && d.lastScheme() == "Negotiate"
	}
	return false
}

// lastScheme returns the scheme of the last leg, "" if it had none.
func (d *diagnosis) lastScheme() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	attempt := d.report.Attempts[len(d.report.Attempts)-1]
	if len(attempt.Legs) == 0 {
		return ""
	}
	return attempt.Legs[len(attempt.Legs)-1].Scheme
}

// verdictText returns what the library's error means, in one line.
func (d *diagnosis) verdictText(e *proxyauth.Error) string {
	text, known := sentences[e.Cause]
	switch {
	case isUnanswered(e):
		return "no answer comes back, from the proxy or from the target behind it"
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
		text += fmt.Sprintf(": it answers %d %s", e.Status, http.StatusText(e.Status))
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

// fix returns what to do about the library's error. Its hint on missing credentials is for the
// author of a program.
func (d *diagnosis) fix(e *proxyauth.Error) string {
	if e.Cause == proxyauth.CauseNoCredentials {
		return "Name the user with -user or in PROXY_USER, and give the password with -password-stdin or in PROXY_PASSWORD, netrc or the keyring; " +
			"or put both into the proxy's URL (HTTPS_PROXY=http://user:password@host:port)."
	}
	fix := printable(e.Hint()) // the library's own words, but for the schemes that a proxy offers
	if slices.ContainsFunc(e.Offered, func(scheme string) bool { return d.secrets.clean(scheme) == removed }) {
		fix = d.secrets.clean(fix)
	}
	if isUnanswered(e) && !d.config.Direct {
		fix += " Whether it is the target, -direct tells."
	}
	return fix
}

// isUnanswered reports whether a request has got no answer, of which nobody can say whose it
// would have been.
func isUnanswered(e *proxyauth.Error) bool {
	return e.Cause == proxyauth.CauseProxyFailed && e.Status == 0
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
