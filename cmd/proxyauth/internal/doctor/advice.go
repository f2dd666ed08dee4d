package doctor

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// fix returns what to do about the library's error, for somebody who can't change a program: the
// library's own hint names its fields where it is for the author of one.
func (d *diagnosis) fix(e *proxyauth.Error) string {
	if fix := d.kerberosFix(e); fix != "" {
		return fix
	}
	switch e.Cause {
	case proxyauth.CauseNoCredentials:
		return d.noCredentialsFix()
	case proxyauth.CauseCredentialsRejected:
		return d.rejectedFix(e)
	case proxyauth.CauseDenied:
		if e.Status != http.StatusForbidden {
			return "The proxy refused credentials that it had accepted a moment before: it does not allow this target to the user, or the password has just changed. Ask whoever runs the proxy."
		}
		return d.deniedFix(len(e.Offered)+len(e.Tried) > 0)
	case proxyauth.CauseHeldBack:
		return "Earlier attempts with the password got no answer, so that it is not sent for a while, to spare the account. Try again in some minutes; if it goes on, look into why those attempts got none."
	case proxyauth.CauseNoCommonScheme:
		return d.noCommonSchemeFix(e)
	case proxyauth.CauseNoChallenge:
		if isOrigins407(e) {
			return "A 407 is for proxies alone. Ask whoever runs the target, or another proxy on the way to it, what it is to say; the credentials for this proxy are right."
		}
		return "The proxy is misconfigured, or something else answers on " + addressOf(d.proxy) + ": ask whoever runs it. " + unaskedFix
	case proxyauth.CauseMalformedChallenge:
		return "The proxy's Proxy-Authenticate field breaks the syntax of RFC 9110, Section 11.6.1, often by a quote in a realm. Ask whoever runs the proxy to mend it."
	case proxyauth.CausePolicyForbids:
		return "The proxy has offered a stronger scheme a moment before, and a weaker one reveals more of the password: it may not be your proxy. Ask whoever runs it why its offer changes."
	case proxyauth.CauseSchemeFailed:
		return d.schemeFailedFix()
	case proxyauth.CauseProxyUnreachable:
		return "The proxy accepted connections a moment before, and now does not: try again, and ask whoever runs the proxy."
	case proxyauth.CauseNotAProxy:
		return "Something other than an HTTP proxy, or a proxy that does not allow CONNECT, answers on " + addressOf(d.proxy) + ". Check host and port in " + d.report.Proxy.Source + "."
	case proxyauth.CauseTargetUnreachable:
		fix := d.unreachableFix(e.Header())
		if e.Status == http.StatusInternalServerError && !strings.HasPrefix(e.Header().Get("Server"), "tinyproxy") && len(d.reasons(e.Header())) == 0 {
			fix += " A proxy that opens no tunnels at all may answer with 500, too, as Apache does without mod_proxy_connect."
		}
		return fix
	case proxyauth.CauseProxyFailed:
		return d.proxyFailedFix(e)
	}
	return d.own(e.Hint(), e)
}

// unaskedFix is what may help where a proxy turns a request down without a challenge.
const unaskedFix = "If the proxy expects Basic without asking for it, ask whoever wrote the program whether it can send that unasked."

const unaskedUnauthorizedFix = "The proxy wants authentication, and does not say so as a proxy does: ask whoever runs it. " + unaskedFix

// own returns the library's words, but for what a proxy that sends back a secret has put there.
func (d *diagnosis) own(hint string, e *proxyauth.Error) string {
	if slices.ContainsFunc(e.Offered, func(scheme string) bool { return d.secrets.clean(scheme) == removed }) {
		return d.secrets.clean(hint)
	}
	return printable(hint)
}

// noCredentialsFix says how to supply a user name and password: to doctor, and where the program
// reads them as well.
func (d *diagnosis) noCredentialsFix() string {
	source := d.report.Proxy.Source
	inURL := "or put both into the proxy's URL (" + source + "=http://user:password@host:port)"
	if source == flagSource {
		inURL = "or put both into the URL of -proxy (http://user:password@host:port), which others on this machine can see"
	}
	name := "Name the user with -user or in PROXY_USER, and give"
	if d.user() != "" {
		name = "For user " + d.secrets.clean(d.user()) + ", give"
	}
	fix := name + " the password with -password-stdin or in PROXY_PASSWORD, netrc or the keyring; " + inURL + "."
	if d.emptyIn != "" {
		fix = "The password from " + d.emptyIn + " is empty, and was not sent: a program that takes it from there sends it, and is refused. " + fix
	}
	if d.unread != "" {
		fix = "If the password is in there, correct " + d.unread + ". Otherwise: " + strings.ToLower(fix[:1]) + fix[1:]
	}
	return fix
}

// rejectedFix says what may be wrong with credentials that the proxy has refused.
func (d *diagnosis) rejectedFix(e *proxyauth.Error) string {
	what := `the domain is missing from the user name (DOMAIN\user)`
	if d.credentials != nil && strings.ContainsAny(d.credentials.Username, `\@`) {
		what = `the domain in the user name (DOMAIN\user) is another`
		if d.last == "Basic" || d.last == "Digest" {
			what = `the domain in the user name (DOMAIN\user) is not wanted, since Basic and Digest often know the bare name`
		}
	}
	fix := "The user name or password is not what the proxy knows: the password is wrong or has expired, the account is locked, or " + what + ". " +
		"It is not sent again: correct it before you try again, since a few wrong ones may lock the account."
	if c := d.credentials; c != nil && !utf8.ValidString(c.Username+c.Password.Reveal()) {
		fix += " They are not UTF-8, which may be why: store them anew, in UTF-8."
	}
	if d.proxy.Scheme == "https" && (d.last == "NTLM" || d.last == "Negotiate") {
		fix += " If they are right, look for what decrypts TLS to the proxy, such as a firewall or virus scanner that has to leave it out, or a load balancer: " +
			d.last + " is bound to the connection, and refused at the end of another one."
	}
	switch h := e.Header(); {
	case e.Status != http.StatusProxyAuthRequired:
	case strings.HasPrefix(h.Get("X-Squid-Error"), "ERR_CACHE_ACCESS_DENIED"):
		fix += " If they work with other URLs, the proxy does not allow this target to the user: squid may answer with 407 then, too."
	case e.Op != http.MethodConnect && d.senderOf(e.Status, h) == theTarget:
		fix += " The proxy has passed this 407 on, so that it may be the target's, and they may be right." + d.isItTheTarget()
	}
	if isIn401(e) {
		fix += " If the target has a realm of the same name, the 401 is its own" + d.directTells()
	}
	return fix
}

// deniedFix says whom to ask for a target that the proxy does not allow. asked says that the
// proxy has asked for a sign-in.
func (d *diagnosis) deniedFix(asked bool) string {
	target, port := addressOf(d.target), ""
	if d.target.Scheme == "https" && portOf(d.target) != "443" {
		port = " Many proxies open tunnels to port 443 alone."
	}
	if asked {
		return "The proxy does not allow " + target + " to this user. Ask whoever runs the proxy whether the user may reach this host and port." + port
	}
	return "The proxy does not allow " + target + ", whoever asks, or not from this machine, or to users that it knows alone. Ask whoever runs the proxy." + port + " " + unaskedFix
}

func (d *diagnosis) noCommonSchemeFix(e *proxyauth.Error) string {
	s := d.report.Schemes
	switch {
	case len(e.Tried) > 0:
		return d.own(e.Hint(), e)
	case len(d.config.Schemes) > 0:
		return d.own(fmt.Sprintf("The proxy offers %s, and -scheme allows %s. Leave -scheme out, or name one of the proxy's.", orNone(listed(s.Offered)), listed(s.Enabled)), e)
	}
	return d.own(fmt.Sprintf("The proxy offers %s, of which there is none here. Ask whoever runs the proxy for one of %s.", orNone(listed(s.Offered)), listed(s.Enabled)), e)
}

// schemeFailedFix says what keeps the credentials from being sent, if that can be seen.
func (d *diagnosis) schemeFailedFix() string {
	if c := d.credentials; c != nil {
		name, password := c.Username, c.Password.Reveal()
		switch {
		case strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsFunc(password, unicode.IsControl):
			return "The user name or password has a control character in it, such as a line break or a tab, that can't be sent: look for it where they are stored."
		case !utf8.ValidString(name) || !utf8.ValidString(password):
			return "The user name or password is not UTF-8: store it anew, in UTF-8, where it comes from."
		case strings.Contains(name, ":") && d.uses("Basic"):
			return "The user name has a colon in it, with which Basic can't send it: correct the user name."
		}
	}
	return "No scheme that the proxy offers could be carried out on this machine. The error of each is listed."
}

func (d *diagnosis) proxyFailedFix(e *proxyauth.Error) string {
	unasked := e.Op == http.MethodConnect && len(e.Offered)+len(e.Tried) == 0
	switch {
	case e.Status == 0:
		return d.silenceFix()
	case unasked && e.Status == http.StatusUnauthorized:
		return unaskedUnauthorizedFix
	case unasked && e.Status == http.StatusBadRequest:
		return "The proxy does not understand the CONNECT, as a web server would not. Check that a proxy listens on " + addressOf(d.proxy) + ", as set in " + d.report.Proxy.Source + "."
	}
	return "The proxy could not serve the request. The status is its own; ask whoever runs the proxy."
}

// silenceFix says what to do where no answer comes back, though the proxy has given one before.
func (d *diagnosis) silenceFix() string {
	fix := "The proxy has answered before: now it, or the target behind it, is slow, or breaks the connection off. Try again with a longer -timeout, and ask whoever runs the proxy."
	return fix + d.isItTheTarget()
}

// kerberosFix returns what to do about a failure of Kerberos, "" for another.
func (d *diagnosis) kerberosFix(e *proxyauth.Error) string {
	k, ok := kerberosError(e)
	if !ok || k.Cause() != e.Cause {
		return ""
	}
	fix := d.codeFix(k)
	if e.Cause != proxyauth.CauseCredentialsRejected && errors.Is(e, proxyauth.ErrRejected) {
		fix += " The user name and password that the proxy was sent in its place were refused, and may be wrong as well."
	}
	return fix
}

// codeFix returns what to do about a failure of Kerberos: in the words of package negotiate,
// unless these name its fields.
func (d *diagnosis) codeFix(k *negotiate.Error) string {
	realm, spn := "the realm", "HTTP/host"
	if r := d.report.Kerberos; r != nil && r.Realm != "" {
		realm = printable(r.Realm)
	}
	if r := d.report.Kerberos; r != nil && r.SPN != "" {
		spn = printable(r.SPN)
	}
	switch k.Code {
	case negotiate.PasswordWrong:
		return "The KDC of " + realm + ", and not the proxy, has refused the password: it is wrong, or was changed. Correct it before you try again, since a few wrong ones may lock the account."
	case negotiate.IPAddress:
		return "Put the proxy's host name into its URL (" + d.report.Proxy.Source + "), or name its service principal with -spn: an IP address has none."
	case negotiate.ServiceUnknown:
		return d.unknownServiceFix(spn)
	case negotiate.ClientUnknown:
		return "The KDC of " + realm + " does not know the user. Check the user name and its realm (-user user@REALM, or default_realm in krb5.conf)."
	case negotiate.NoKDC:
		return "No KDC of " + realm + " is known. Add it to [realms] in krb5.conf, or have it published in DNS (_kerberos._tcp." + realm + ")."
	case negotiate.ConfigFile:
		return "krb5.conf can't be used. Correct it, or name another one in KRB5_CONFIG."
	case negotiate.NoRealm:
		return "The user's Kerberos realm is unknown. Give the user as user@REALM, or set default_realm in krb5.conf."
	case negotiate.MalformedReply:
		return "What answers as the KDC of " + realm + " does not speak Kerberos. Check the KDC's address in krb5.conf or DNS."
	case negotiate.NoPassword:
		return "The proxy wants NTLM inside Negotiate, and takes no ticket. Supply a password with -user and -password-stdin, or ask whoever runs the proxy to enable Kerberos."
	case negotiate.NoMutual:
		return "The proxy has not proved that it could decrypt the ticket for " + spn + ". Ask whoever runs it to check its keytab."
	case negotiate.TicketRefused:
		return "The proxy refuses the Kerberos ticket for " + spn + ". Ask whoever runs it to check its keytab (klist -k), its clock (NTP), whether the user is allowed, " +
			"and, where something on the way decrypts TLS to the proxy, such as a firewall or a load balancer, whether it wants channel bindings."
	}
	return printable(k.Hint())
}
