// Package hint explains why a request did not get through a proxy, to the person who has to
// fix it. It has the texts; what is known of the failure, it is given.
package hint

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/printable"
)

// Facts are what is known of a failure. What is not known is the zero value.
type Facts struct {
	Cause  string // of package proxyauth
	Reason Reason // what the cause leaves open

	Connect bool   // the failure is that of a CONNECT
	Itself  bool   // the CONNECT was for the proxy itself
	Proxy   string // its URL, without user info
	Source  string // where that comes from
	Target  string
	Status  int // of the last answer

	Offered, Enabled []string // schemes
	Tried            bool     // schemes have failed
	ChannelBound     bool     // what was refused was bound to the TLS connection

	Looked string   // where credentials were looked for, separated by "; "
	Rules  []string // that have forbidden something
}

// A Reason tells failures with the same cause apart.
type Reason int

// The reasons.
const (
	Unknown Reason = iota

	// Of no_credentials.
	InCallback     // a callback of the Transport makes the request
	ProviderFailed // with an error of its own

	// Of credentials_rejected.
	Preauthorized  // the authorization was the program's own
	In401          // the answer is a 401 in the proxy's realm
	EmptyPassword  // was refused
	LogonRefused   // that of the user who is logged in
	DomainMissing  // the user name has none
	DomainOther    // the user name has one, perhaps the wrong one
	DomainUnwanted // the user name has one, and the scheme seldom wants it

	// Of proxy_unreachable.
	NoTLS
	WantsTLS
	Untrusted      // certificate
	NameUnknown    // to DNS
	NameUnresolved // since DNS fails
	TimedOut
	NotConnected
	HandshakeFailed // of TLS
)

// An Error is an error with a reason.
type Error struct {
	Reason       Reason
	ChannelBound bool // as in Facts
	Text         string
	Err          error // underneath, nil if there is none
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the error underneath.
func (e *Error) Unwrap() error { return e.Err }

// Text returns the hint, of one or two sentences; empty for an unknown cause.
func (f *Facts) Text() string {
	if !IsKnown(f.Cause) {
		return ""
	}
	return texts[f.Cause](f)
}

// IsKnown reports whether there is a hint for cause.
func IsKnown(cause string) bool { return texts[cause] != nil }

// texts holds the hint for each cause.
var texts = map[string]func(*Facts) string{
	"no_credentials":       (*Facts).noCredentials,
	"credentials_rejected": (*Facts).rejected,
	"denied":               unlessItself((*Facts).denied),
	"held_back": always("The credentials were not sent, to spare the account: earlier attempts with them got no answer, or are still under way. " +
		"They are sent again at the time in Error.Retry, when one of those attempts is accepted, or after Transport.Reset."),
	"no_common_scheme": (*Facts).noCommonScheme,
	"no_challenge": unlessItself(always("The proxy wants authentication but does not say how: it is misconfigured, something else answers on this port, " +
		"or, if it has accepted the credentials, the 407 is the origin server's. " + unasked)),
	"malformed_challenge": unlessItself(always("The proxy's Proxy-Authenticate field, which Error.Header has, breaks the syntax of RFC 9110, Section 11.6.1, " +
		"often by a quote in a realm. Ask whoever runs the proxy to mend it.")),
	"policy_forbids": func(f *Facts) string {
		return fmt.Sprintf("A rule of this program forbids to answer the proxy's challenge: %s. The field that the error names relaxes the rule.", printable.List(f.Rules))
	},
	"ticket_missing": always("There is no Kerberos ticket that can be used. Run kinit, and check that KRB5CCNAME names the ticket cache."),
	"kerberos_failed": always("Kerberos failed on this machine. Check that the clock is right, that port 88 of the KDC can be reached, " +
		"and that the proxy is configured by the host name for which it has a service principal (HTTP/host)."),
	"scheme_failed": always("No scheme that the proxy offers could be carried out on this machine. The error of each is listed."),
	"handshake_broken": unlessItself(always("The proxy, or a firewall or load balancer before it, broke off the handshake: " +
		"NTLM and Negotiate need keep-alive connections to one and the same proxy, and Digest needs nonces that all machines behind one name know. " +
		"Some proxies break it off when the password is wrong; it is then not sent again for a while, to spare the account.")),
	"proxy_not_verified": unlessItself(always("The peer did not prove that it knows the secret. It may not be your proxy.")),
	"proxy_url_invalid": func(f *Facts) string {
		return fmt.Sprintf("The URL of the proxy in %s can't be used: it has the form http://user:password@host:port. "+
			`In user name and password, percent-encode \ as %%5C, @ as %%40, : as %%3A, / as %%2F, # as %%23 and %% as %%25.`, f.source())
	},
	"proxy_unreachable": (*Facts).unreachable,
	"not_a_proxy": unlessItself(func(f *Facts) string {
		return fmt.Sprintf("Something other than an HTTP proxy, or a proxy that does not allow CONNECT, answers on %s. Check the proxy's host and port in %s.", f.proxyHost(), f.source())
	}),
	"target_unreachable": unlessItself(func(f *Facts) string {
		return fmt.Sprintf("The proxy can't reach the target, %s. Check its name and port, and whether the proxy may connect to it; Error.Body has the proxy's words.", cmp.Or(f.Target, "the target"))
	}),
	"proxy_failed":        unlessItself((*Facts).failed),
	"body_not_replayable": always("The proxy asked for authentication when the request's body was already on its way. Set Request.GetBody."),
}

// Decrypted says, behind "whether", why a proxy may refuse what is bound to the TLS connection.
const Decrypted = "something on the way decrypts TLS to the proxy: a firewall or virus scanner that inspects it, and has to leave the proxy out, " +
	"or a load balancer before the proxy, where InsecureOmitChannelBindings has to be set"

// unasked is what may help where a proxy turns a CONNECT down without a challenge.
const unasked = "For a proxy that expects Basic without asking, set Transport.Preemptive."

func always(text string) func(*Facts) string { return func(*Facts) string { return text } }

// unlessItself returns the hint for a proxy that, by its name, was asked for a tunnel to
// itself, and that of text for any other.
func unlessItself(text func(*Facts) string) func(*Facts) string {
	return func(f *Facts) string {
		if !f.Itself {
			return text(f)
		}
		return fmt.Sprintf("The proxy %s was asked to CONNECT to itself: what dials through this Transport has a proxy setting of its own, and asks for the proxy in place of the target. "+
			"Turn that setting off: a nil Proxy, or grpc.WithNoProxy, for example.", f.proxyHost())
	}
}

// noCredentials says where was looked.
func (f *Facts) noCredentials() string {
	looked := f.Looked
	switch {
	case f.Reason == InCallback:
		return "A callback of the Transport, such as its provider or a hook, makes this request through the same proxy. " +
			"Give it a Transport of its own, with credentials, or let it go without the proxy."
	case f.Reason == ProviderFailed:
		return "The provider of credentials (Transport.Credentials) failed, with the error that is listed. Mend what it says."
	case strings.Contains(looked, "; "):
		looked = " (looked for in this order: " + looked + ")"
	case looked != "":
		looked = " (" + looked + ")"
	}
	return "No user name and password are known for this proxy" + looked + ". Set Transport.Credentials, " +
		"or put them into the proxy's URL (HTTPS_PROXY=http://user:password@host:port)."
}

// rejected says what may be wrong with credentials that the proxy has refused.
func (f *Facts) rejected() string {
	what := `the password is wrong or has expired, the account is locked, or the domain is missing from the user name (DOMAIN\user) or is there though Basic or Digest wants none`
	switch f.Reason {
	case Preauthorized:
		return "The proxy refused the Proxy-Authorization that the program itself puts into the CONNECT. " +
			"Take it out of Base.ProxyConnectHeader or GetProxyConnectHeader, so that Transport.Credentials is asked."
	case In401:
		return "The answer is a 401 with the realm of the proxy's own challenge, as tinyproxy sends it: the user name or password may be wrong. " +
			"If the origin server has a realm of the same name, the 401 is its own."
	case EmptyPassword:
		return "The proxy refused an empty password: a user name without a password, as in http://user@host, stands for one. " +
			"Add the password to it, or leave credentials.ProxyURL out, as the provider of package credentials/defaults does, so that the password is looked for elsewhere."
	case LogonRefused:
		return "The proxy refused the user who is logged in: the user may not use it, or the password was changed since the logon. " +
			"Log off and on again, or supply user and password (Transport.Credentials); the logon is not sent again, to spare the account, until Transport.Reset is called."
	case DomainUnwanted:
		what = `the domain in the user name (DOMAIN\user) is not wanted, since Basic and Digest often know the bare name, the password is wrong or has expired, or the account is locked`
	case DomainOther:
		what = `the password is wrong or has expired, the account is locked, or the domain in the user name (DOMAIN\user) is another`
	case DomainMissing:
		what = `the password is wrong or has expired, the account is locked, or the domain is missing from the user name (DOMAIN\user)`
	}
	if f.ChannelBound {
		what += "; or, if they are right, " + Decrypted
	}
	return fmt.Sprintf("The proxy refused the user name or password: %s. "+
		"They are not sent again, to spare the account, until the provider returns others or Transport.Reset is called.", what)
}

func (f *Facts) denied() string {
	target := cmp.Or(f.Target, "this target")
	switch {
	case f.Status != http.StatusForbidden:
		return fmt.Sprintf("The proxy refused credentials that it had accepted before: either it does not allow %s to this user, or the password has changed. "+
			"Ask whoever runs the proxy whether the user may reach this host and port.", target)
	case f.nobodyAsked():
		return fmt.Sprintf("The proxy does not allow %s, whoever asks, or to users that it does not know. "+
			"Ask whoever runs the proxy; %s", target, lowered(unasked))
	}
	return fmt.Sprintf("The proxy does not allow %s to this user. Ask whoever runs the proxy whether the user may reach this host and port.", target)
}

// nobodyAsked reports whether the proxy has not asked for authentication.
func (f *Facts) nobodyAsked() bool { return len(f.Offered) == 0 && !f.Tried }

func (f *Facts) noCommonScheme() string {
	if f.Tried {
		return "The proxy offers a scheme that this program has enabled, but in no form that it knows and allows, " +
			"such as an algorithm of Digest; the error of each is listed. Ask whoever runs the proxy for another."
	}
	return fmt.Sprintf("The proxy offers %s; this program has enabled %s. Enable one of the proxy's schemes in Transport.Schemes, or one of the program's at the proxy.",
		printable.List(f.Offered), printable.List(f.Enabled))
}

func (f *Facts) failed() string {
	withoutQuestion := f.Connect && f.nobodyAsked()
	switch {
	case f.Status == 0 && withoutQuestion && f.inTheClear():
		return fmt.Sprintf("%s, the proxy in %s, gave no answer. If it speaks TLS, use https:// in place of http://; %s",
			f.proxyHost(), f.source(), lowered(unasked))
	case f.Status == 0:
		hint := fmt.Sprintf("%s, the proxy in %s, gave no answer, or broke it off. ", f.proxyHost(), f.source())
		if f.inTheClear() {
			return hint + "If it speaks TLS, use https:// in place of http://; otherwise ask whoever runs the proxy."
		}
		return hint + "Ask whoever runs the proxy."
	case withoutQuestion && f.Status == http.StatusUnauthorized:
		return "The proxy wants authentication, and does not say so as a proxy does. " + unasked
	case f.Connect && f.Status == http.StatusBadRequest:
		return fmt.Sprintf("The proxy does not understand the CONNECT, as a web server would not. Check that a proxy listens on %s, as set in %s.",
			f.proxyHost(), f.source())
	}
	return "The proxy could not serve the request. The status is its own; ask whoever runs the proxy."
}

func (f *Facts) inTheClear() bool { return strings.HasPrefix(f.Proxy, "http:") }

// proxyHost returns the proxy's host and port.
func (f *Facts) proxyHost() string {
	if u, err := url.Parse(f.Proxy); err == nil && u.Host != "" {
		return u.Host
	}
	return "The proxy"
}

// source returns where the proxy comes from.
func (f *Facts) source() string { return cmp.Or(f.Source, "the program's proxy setting") }

// lowered returns a sentence to be put behind a semicolon.
func lowered(sentence string) string { return strings.ToLower(sentence[:1]) + sentence[1:] }
