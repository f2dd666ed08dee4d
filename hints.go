package proxyauth

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/printable"
	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// Hint explains, for the person who has to fix it, what is likely to be wrong and
// what to do. It is empty for a nil *Error and for an unknown cause.
func (e *Error) Hint() string {
	if e == nil {
		return ""
	}
	if hint, ok := e.schemeHint(); ok {
		if e.Cause != CauseCredentialsRejected && errors.Is(e, ErrRejected) {
			hint += " The user name and password that the proxy was sent in its place were refused, and may be wrong as well."
		}
		return printable.Text(hint)
	}
	return printable.Text(e.hint())
}

// schemeHint returns the hint of the first error with one that determines the cause.
func (e *Error) schemeHint() (hint string, ok bool) {
	for _, err := range e.Unwrap() {
		var h interface {
			Cause() Cause
			Hint() string
		}
		if errors.As(err, &h) && (h.Cause() == e.Cause || e.Cause == CauseHeldBack && errors.Is(err, ErrHeldBack)) && h.Hint() != "" {
			return h.Hint(), true
		}
	}
	return "", false
}

// hint returns the hint where no scheme has one.
func (e *Error) hint() string {
	hint := hints[e.Cause]
	switch e.Cause {
	case CauseNoCredentials:
		return e.noCredentialsHint()
	case CauseCredentialsRejected:
		return e.rejectedHint()
	case CauseNoCommonScheme:
		if len(e.Tried) > 0 {
			return unknownForm
		}
		return fmt.Sprintf("The proxy offers %s; this program has enabled %s. ", printable.List(e.Offered), printable.List(e.Enabled)) + hint
	case CausePolicyForbids:
		return fmt.Sprintf("A rule of this program forbids to answer the proxy's challenge: %s. ", printable.List(e.rules())) + hint
	case CauseProxyURLInvalid:
		return fmt.Sprintf(hint, e.setting())
	case CauseProxyUnreachable:
		return e.unreachableHint()
	}
	if e.connectsToItself() {
		return fmt.Sprintf(itselfHint, e.proxyHost())
	}
	switch e.Cause {
	case CauseDenied:
		return e.deniedHint()
	case CauseNotAProxy:
		return fmt.Sprintf(hint, e.proxyHost(), e.setting())
	case CauseTargetUnreachable:
		return fmt.Sprintf(hint, cmp.Or(e.Target, "the target"))
	case CauseProxyFailed:
		return e.failedHint()
	}
	return hint
}

// noCredentialsHint says where was looked.
func (e *Error) noCredentialsHint() string {
	if errors.Is(e.Err, errInside) {
		return "A callback of the Transport, such as its provider or a hook, makes this request through the same proxy. " +
			"Give it a Transport of its own, with credentials, or let it go without the proxy."
	}
	looked := ""
	for _, t := range e.Tried {
		text := ""
		if t != nil && errors.Is(t.Err, ErrNoCredentials) {
			_, text, _ = strings.Cut(t.Err.Error(), strings.TrimPrefix(ErrNoCredentials.Error(), "proxyauth: "))
		}
		if looked = strings.TrimLeft(text, ": "); looked != "" {
			break
		}
	}
	switch {
	case len(e.Tried) > 0 && !errors.Is(e, ErrNoCredentials):
		return "The provider of credentials (Transport.Credentials) failed, with the error that is listed. Mend what it says."
	case strings.Contains(looked, "; "):
		looked = " (looked for in this order: " + looked + ")"
	case looked != "":
		looked = " (" + looked + ")"
	}
	return fmt.Sprintf(hints[CauseNoCredentials], looked)
}

// rejectedHint says what may be wrong with credentials that the proxy has refused.
func (e *Error) rejectedHint() string {
	if errors.Is(e.Err, errPreauthorized) {
		return "The proxy refused the Proxy-Authorization that the program itself puts into the CONNECT. " +
			"Take it out of Base.ProxyConnectHeader or GetProxyConnectHeader, so that Transport.Credentials is asked."
	}
	if errors.Is(e.Err, errIn401) {
		return "The answer is a 401 with the realm of the proxy's own challenge, as tinyproxy sends it: the user name or password may be wrong. " +
			"If the origin server has a realm of the same name, the 401 is its own."
	}
	what := `the password is wrong or has expired, the account is locked, or the domain is missing from the user name (DOMAIN\user) or is there though Basic or Digest wants none`
	r, ok := errors.AsType[*refusal](e)
	switch {
	case !ok:
	case r.empty:
		return "The proxy refused an empty password: a user name without a password, as in http://user@host, stands for one. " +
			"Add the password to it, or leave credentials.ProxyURL out, as the provider of package credentials/defaults does, so that the password is looked for elsewhere."
	case r.domain && !r.binds:
		what = `the domain in the user name (DOMAIN\user) is not wanted, since Basic and Digest often know the bare name, the password is wrong or has expired, or the account is locked`
	case r.domain:
		what = `the password is wrong or has expired, the account is locked, or the domain in the user name (DOMAIN\user) is another`
	case !r.domain:
		what = `the password is wrong or has expired, the account is locked, or the domain is missing from the user name (DOMAIN\user)`
	}
	return fmt.Sprintf(hints[CauseCredentialsRejected], what)
}

func (e *Error) deniedHint() string {
	target := cmp.Or(e.Target, "this target")
	switch {
	case e.Status != http.StatusForbidden:
		return fmt.Sprintf("The proxy refused credentials that it had accepted before: either it does not allow %s to this user, or the password has changed. "+
			"Ask whoever runs the proxy whether the user may reach this host and port.", target)
	case len(e.Offered)+len(e.Tried) == 0:
		return fmt.Sprintf("The proxy does not allow %s, whoever asks, or to users that it does not know. "+
			"Ask whoever runs the proxy; %s", target, lowered(unaskedHint))
	}
	return fmt.Sprintf("The proxy does not allow %s to this user. Ask whoever runs the proxy whether the user may reach this host and port.", target)
}

func (e *Error) failedHint() string {
	unasked := e.Op == opConnect && len(e.Offered)+len(e.Tried) == 0
	switch {
	case e.Status == 0 && unasked && strings.HasPrefix(e.Proxy, "http:"):
		return fmt.Sprintf("%s, the proxy in %s, gave no answer. If it speaks TLS, use https:// in place of http://; %s",
			e.proxyHost(), e.setting(), lowered(unaskedHint))
	case e.Status == 0:
		hint := fmt.Sprintf("%s, the proxy in %s, gave no answer, or broke it off. ", e.proxyHost(), e.setting())
		if strings.HasPrefix(e.Proxy, "http:") {
			return hint + "If it speaks TLS, use https:// in place of http://; otherwise ask whoever runs the proxy."
		}
		return hint + "Ask whoever runs the proxy."
	case unasked && e.Status == http.StatusUnauthorized:
		return "The proxy wants authentication, and does not say so as a proxy does. " + unaskedHint
	case e.Op == opConnect && e.Status == http.StatusBadRequest:
		return fmt.Sprintf("The proxy does not understand the CONNECT, as a web server would not. Check that a proxy listens on %s, as set in %s.",
			e.proxyHost(), e.setting())
	}
	return hints[CauseProxyFailed]
}

// unreachableHint says what keeps the program from talking to the proxy.
func (e *Error) unreachableHint() string {
	at := fmt.Sprintf("%s, the proxy in %s,", e.proxyHost(), e.setting())
	secure := strings.HasPrefix(e.Proxy, "https:")
	dns, isDNS := errors.AsType[*net.DNSError](e.Err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](e.Err)
	timeout, isNet := errors.AsType[net.Error](e.Err)
	op, isOp := errors.AsType[*net.OpError](e.Err)
	switch {
	case errors.Is(e.Err, proxyconn.ErrNoTLS):
		return at + " does not speak TLS. Use http:// in place of https:// in the proxy's URL."
	case errors.Is(e.Err, proxyconn.ErrTLSAnswer), errors.Is(e.Err, errWantsTLS):
		return at + " speaks TLS. Use https:// in place of http:// in the proxy's URL."
	case certificate:
		return at + " has a certificate that is not trusted, or is for another name. Set Transport.ProxyTLSClientConfig (RootCAs or ServerName), or correct the proxy's name."
	case isDNS && dns.IsNotFound:
		return at + " has a name that DNS does not know. Check how it is spelled, and whether this machine is in the network that knows it."
	case isDNS:
		return at + " has a name that can't be resolved, since DNS fails. Check the resolver of this machine."
	case isNet && timeout.Timeout() && secure:
		return at + " does not answer. Check host and port; if it does not speak TLS, use http:// in place of https:// in the proxy's URL."
	case isNet && timeout.Timeout():
		return at + " does not answer. Check host and port, and whether a firewall is in the way."
	case secure && !(isOp && op.Op == "dial"):
		return at + " breaks the TLS handshake off. If it does not speak TLS, use http:// in place of https:// in the proxy's URL."
	}
	return at + " can't be connected to. Check host and port, and whether a proxy listens there."
}

// connectsToItself reports whether the proxy was asked for a tunnel to itself.
func (e *Error) connectsToItself() bool {
	u, err := url.Parse(e.Proxy)
	return err == nil && e.Op == opConnect && u.Host != "" && strings.EqualFold(e.Target, proxyaddr.Site(u))
}

// itselfHint is the hint where the proxy, by its name, was asked for a tunnel to itself.
const itselfHint = "The proxy %s was asked to CONNECT to itself: what dials through this Transport has a proxy setting of its own, and asks for the proxy in place of the target. " +
	"Turn that setting off: a nil Proxy, or grpc.WithNoProxy, for example."

// proxyHost returns the proxy's host and port.
func (e *Error) proxyHost() string {
	if u, err := url.Parse(e.Proxy); err == nil && u.Host != "" {
		return u.Host
	}
	return "The proxy"
}

// setting returns where the proxy comes from.
func (e *Error) setting() string { return cmp.Or(e.source, "the program's proxy setting") }

// lowered returns a sentence to be put behind a semicolon.
func lowered(sentence string) string { return strings.ToLower(sentence[:1]) + sentence[1:] }
