package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// judge returns the verdict on an attempt.
func (d *diagnosis) judge(o *outcome) *Verdict {
	if e := o.failure(); e != nil {
		return d.judgeError(e)
	}
	if d.waitsForKerberos(o) {
		return finding(proxyauth.CauseKerberosFailed, "Kerberos fails: "+d.blocked.text, d.blocked.fix)
	}
	if !o.passed() {
		text := fmt.Sprintf("no answer comes back within %v", maxSteps*d.config.Timeout)
		return finding(proxyauth.CauseProxyFailed, text, d.silenceFix())
	}
	d.report.Target.ThroughProxy = d.answerOf(o)
	if d.target.Scheme == "http" && o.status >= 400 {
		return d.judgeForwarded(o)
	}
	v := d.judgeTarget(o, "through the proxy")
	if v.OK && o.scheme != "" {
		v.Text = "the proxy accepts " + o.scheme + ", and " + v.Text
	}
	return v
}

// answerOf returns the target's answer as it stands in the report.
func (d *diagnosis) answerOf(o *outcome) *TargetAnswer {
	a := &TargetAnswer{Status: o.status, Millis: millis(o.took)}
	if o.err != nil {
		a.Error = d.targetError(o.err)
	}
	return a
}

// targetError returns the text of an error of net/http without the URL.
func (d *diagnosis) targetError(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection is closed"
	}
	return d.secrets.clean(err.Error())
}

// A sender is who has made an answer to a forwarded request, as far as can be told.
type sender int

const (
	theTarget sender = iota
	theProxy
	either
)

// senderOf tells who has made an answer to a forwarded request.
func (d *diagnosis) senderOf(status int, h http.Header) sender {
	server := h.Get("Server")
	known := slices.Contains(d.servers, server)
	switch {
	case h.Get("X-Squid-Error") != "", strings.Contains(h.Get("Proxy-Status"), "error="): // RFC 9209, Section 2.1.1
		return theProxy
	case known && !isWebServer(server):
		return theProxy
	case h.Get("Via") != "", server != "" && len(d.servers) > 0 && !known:
		return theTarget // the proxy has passed it on, or calls itself otherwise
	case status == d.connectStatus && (status == http.StatusForbidden || status == http.StatusUnauthorized):
		return theProxy // it refuses a tunnel to the host as well
	}
	return either // Apache, for example, may be both
}

// serversOf returns what the proxy calls itself in its own answers: a 407, and any answer to a
// CONNECT that is no tunnel.
func serversOf(made []*probe) (servers []string) {
	for _, a := range made {
		own := a.status() == http.StatusProxyAuthRequired || a.status() != 0 && a.method == http.MethodConnect && a.status()/100 != 2
		if own && a.resp.Header.Get("Server") != "" {
			servers = append(servers, a.resp.Header.Get("Server"))
		}
	}
	return servers
}

// isWebServer reports whether a Server field is that of software that is often a target, too.
func isWebServer(server string) bool {
	name := strings.ToLower(before(before(server, "/"), " "))
	return slices.Contains([]string{"apache", "nginx", "openresty", "microsoft-iis", "lighttpd", "litespeed", "caddy", "envoy"}, name)
}

// judgeForwarded returns the verdict on an error in answer to a forwarded request, which may be
// the proxy's own.
func (d *diagnosis) judgeForwarded(o *outcome) *Verdict {
	d.sender = d.senderOf(o.status, o.header)
	text := statusText(o.status) + " comes back, from the target or from the proxy"
	switch d.sender {
	case theProxy:
		text = "the proxy answers " + statusText(o.status) + " itself"
	case theTarget:
		text = "the target answers " + statusText(o.status) + " through the proxy"
	}
	d.step("target", Failed, fmt.Sprintf("%s (%v)", text, millis(o.took)), d.reasons(o.header)...)
	switch {
	case o.status == http.StatusUnauthorized && d.sender == theProxy && o.scheme == "":
		return finding(proxyauth.CauseProxyFailed, answering(proxyauth.CauseProxyFailed, o.status), unaskedUnauthorizedFix)
	case o.status == http.StatusUnauthorized && d.sender == theProxy:
		return finding(proxyauth.CauseCredentialsRejected, text, "This proxy refuses a wrong user name or password with 401. Check both; they are not sent again.")
	case o.status == http.StatusUnauthorized && d.sender == either:
		return finding(causeUnauthorized, text, "The 401 is the target's, if the request has come through: it wants a login of its own, in Authorization. Some proxies refuse with 401, too"+d.directTells())
	case o.status == http.StatusUnauthorized:
		return finding(causeUnauthorized, text, unauthorizedFix)
	case o.status == http.StatusNetworkAuthenticationRequired && d.sender != theTarget:
		return d.portalOf(http.MethodGet, o.status, o.header)
	case o.status == http.StatusForbidden && d.sender == theProxy:
		return finding(proxyauth.CauseDenied, answering(proxyauth.CauseDenied, o.status), d.deniedFix(o.scheme != ""))
	case o.status == http.StatusForbidden && d.sender == theTarget:
		return finding(causeForbidden, text, "The target refuses the request: this is not a question of the proxy's login. Ask whoever runs the target.")
	case o.status == http.StatusForbidden:
		return finding(causeForbidden, text, "The 403 is not a question of the proxy's login. The target refuses the request, or the proxy does not allow it"+d.directTells())
	case d.sender != theTarget && isUnreachable(o.status, d.sender):
		fix := d.unreachableFix(o.header)
		if d.sender == either {
			fix = "Either the proxy can't reach the target, or the target, or what is before it, is out of order: check the target's name and port" + d.directTells()
		} else {
			text = answering(proxyauth.CauseTargetUnreachable, o.status)
		}
		return finding(proxyauth.CauseTargetUnreachable, text, fix)
	case d.sender == theProxy:
		return finding(proxyauth.CauseProxyFailed, answering(proxyauth.CauseProxyFailed, o.status), "The status is the proxy's own; ask whoever runs it.")
	case d.sender == either:
		return finding(causeTarget, text, "The status is the target's own, if the request has come through, or else the proxy's"+d.directTells())
	}
	return finding(causeTarget, text, "The request has come through. The status is the target's own.")
}

// answering returns what a cause means where the proxy has answered with status.
func answering(cause proxyauth.Cause, status int) string {
	return sentences[cause] + ": it answers " + statusText(status)
}

// reasons returns what the proxy's header says of an error.
func (d *diagnosis) reasons(h http.Header) (lines []string) {
	for _, name := range []string{"X-Squid-Error", "Proxy-Status"} {
		if value := h.Get(name); value != "" {
			lines = append(lines, "the proxy says "+name+": "+d.secrets.clean(value))
		}
	}
	return lines
}

// squidReasons say what squid's reasons mean.
var squidReasons = []struct{ prefix, fix string }{
	{"ERR_DNS_FAIL", "The proxy can't reach the target: it does not find the name in %s. Check the spelling; if it is right, ask whoever runs the proxy about its name servers."},
	{"ERR_CONNECT_FAIL", "The proxy can't reach the target: %s accepts no connection from it. Check the port; if it is right, ask whoever runs the target, or the proxy, whether the way between them is open."},
	{"ERR_ZERO_SIZE_OBJECT", "The proxy reaches the target, and %s closes the connection without an answer. Check the port, and whether the URL has to begin with https://."},
	{"ERR_READ_ERROR", "The proxy reaches the target, and %s breaks the connection off. Check the port, and whether the URL has to begin with https://."},
}

// unreachableFix says what to do about a target that the proxy can't reach.
func (d *diagnosis) unreachableFix(h http.Header) string {
	target := printable(addressOf(d.target))
	for _, r := range squidReasons {
		if strings.HasPrefix(h.Get("X-Squid-Error"), r.prefix) {
			return fmt.Sprintf(r.fix, target)
		}
	}
	return "The proxy can't reach the target, " + target + ". Check its name and port; if they are right, ask whoever runs the proxy whether it may connect to it."
}

// isUnreachable reports whether a status says that the target can't be reached. The 500 is
// tinyproxy's.
func isUnreachable(status int, by sender) bool {
	return status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout || status == http.StatusInternalServerError && by == theProxy
}

// directTells returns the end of a sentence on what -direct tells, where it is not set.
func (d *diagnosis) directTells() string {
	if d.config.Direct {
		return "."
	}
	return ": -direct tells them apart."
}

const unauthorizedFix = "The 401 is the target's: it wants a login of its own, in Authorization. The proxy, which would ask with 407, is content."

// judgeTarget returns the verdict on an answer that is the target's, reached in some way.
func (d *diagnosis) judgeTarget(o *outcome, how string) *Verdict {
	switch {
	case o.err != nil && o.status == 0:
		return d.judgeTargetError(o.err, how)
	case o.err != nil && o.status < 400:
		return d.judgeBody(o, how)
	}
	text := "the target answers " + statusText(o.status) + " " + how
	result, details := Failed, []string(nil)
	if o.status < 400 {
		result = OK
	}
	if to := d.redirectOf(o.header); isRedirect(o.status) && to != "" {
		details = append(details, "it redirects to "+to+"; if the target does not, a page of the network's wants a sign-in there")
	}
	d.step("target", result, fmt.Sprintf("%s (%v)", text, millis(o.took)), details...)
	switch {
	case o.status < 400:
		return &Verdict{OK: true, Cause: causeWorks, Text: text}
	case o.status == http.StatusUnauthorized:
		return finding(causeUnauthorized, text, unauthorizedFix)
	case o.status == http.StatusForbidden && d.proxy != nil:
		return finding(causeForbidden, text, "The 403 is not a question of the proxy's login. The target refuses the request, or a proxy that looks into TLS does not allow it"+d.directTells())
	case o.status == http.StatusForbidden:
		return finding(causeForbidden, text, "The target refuses the request. Ask whoever runs it.")
	case o.status == http.StatusNetworkAuthenticationRequired:
		return finding(causePortal, text, portalFix)
	}
	return finding(causeTarget, text, "The request has come through. The status is the target's own.")
}

// judgeBody returns the verdict on an answer whose body does not end, or breaks off.
func (d *diagnosis) judgeBody(o *outcome, how string) *Verdict {
	text := fmt.Sprintf("the target's answer %s begins %s, and then breaks off: %s", statusText(o.status), how, d.targetError(o.err))
	fix := "The answer is cut off by the target, or by something on the way that looks into what is fetched: try again."
	if isTimeout(o.err) {
		text = fmt.Sprintf("the target's answer %s begins %s, and does not end within %v", statusText(o.status), how, maxSteps*d.config.Timeout)
		fix = "The target is slow, or something on the way holds back the rest, such as a scan for viruses; a stream that has no end does not end here either. Try again with a longer -timeout."
	}
	d.step("target", Failed, text)
	return finding(causeTarget, text, fix+d.isItTheTarget())
}

func (d *diagnosis) judgeTargetError(err error, how string) *Verdict {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		text := "the target's certificate is not trusted " + how + ": " + certificateFlaw(e)
		var details []string
		if len(e.UnverifiedCertificates) > 0 {
			details = append(details, "signed by "+printable(e.UnverifiedCertificates[0].Issuer.String()))
		}
		d.step("target", Failed, text, details...)
		return finding(causeCertificate, text, d.certificateFix(e))
	}
	text := "the target gives no answer " + how + ": " + d.targetError(err)
	fix := "The way to the target is open, and then the connection fails. Check the target's port, and whether it speaks " + d.target.Scheme + "."
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		text = "the target does not speak TLS " + how
		fix = "Use http:// in place of https:// in the target's URL, or the port on which it speaks TLS."
	}
	if isTimeout(err) {
		text = fmt.Sprintf("the target gives no answer %s: nothing within %v", how, d.config.Timeout)
		fix = "The way to the target is open, and then nothing comes: the target is slow, or something on the way keeps its answer. Try again with a longer -timeout."
	}
	d.step("target", Failed, text)
	return finding(causeTarget, text, fix)
}

// certificateFix says what to do about a certificate of the target, or of a proxy in its place.
func (d *diagnosis) certificateFix(e *tls.CertificateVerificationError) string {
	fix := "If the proxy looks into TLS, add the certificate of its authority to this machine's trusted ones, or to the program's; " +
		"check with -ca FILE. If it doesn't, the target needs another certificate."
	if d.proxy == nil {
		fix = "Add the certificate of the authority that has signed it to this machine's trusted ones, or to the program's; check with -ca FILE."
	}
	switch {
	case isOfAnotherName(e):
		fix = "Use a name in the target's URL for which the certificate was made. If the name is right, something else answers in its place, or the target needs another certificate: ask whoever runs it."
	case isExpired(e):
		fix = "Check this machine's clock. If it is right, the certificate has to be renewed: ask whoever runs the target, or the proxy, if that looks into TLS."
	}
	return fix + d.isItTheTarget()
}

// isItTheTarget returns a sentence on what -direct tells, where it is not set.
func (d *diagnosis) isItTheTarget() string {
	if d.proxy == nil || d.config.Direct {
		return ""
	}
	return " Whether it is the target, -direct tells."
}

// direct asks the target without the proxy, and adds to the verdict what that says.
func (d *diagnosis) direct(ctx context.Context, v *Verdict) {
	base := d.base(nil)
	defer base.CloseIdleConnections()
	o := d.fetch(ctx, base)
	d.report.Target.Direct = d.answerOf(o)
	if o.status == 0 {
		d.step("direct", Warning, "without the proxy the target gives no answer: "+d.targetError(o.err))
		if slices.Contains([]string{string(proxyauth.CauseTargetUnreachable), string(proxyauth.CauseProxyFailed), causeTarget}, v.Cause) {
			v.Fix += " It does not answer without the proxy either."
		}
		if _, ok := errors.AsType[*tls.CertificateVerificationError](o.err); ok && v.Cause == causeCertificate {
			v.Fix += " Without the proxy its certificate is not trusted either, so that it is the target's own."
		}
		return
	}
	if o.err != nil {
		d.step("direct", Warning, fmt.Sprintf("without the proxy the target answers %s, and not to the end: %s", statusText(o.status), d.targetError(o.err)))
		if !v.OK {
			v.Fix += " Without the proxy its answer does not end either."
		}
		return
	}
	d.step("direct", OK, fmt.Sprintf("without the proxy the target answers %s (%v)", statusText(o.status), millis(o.took)))
	if !v.OK {
		d.weigh(v, o.status)
	}
}

// weigh adds to a verdict what the target's status without the proxy says.
func (d *diagnosis) weigh(v *Verdict, status int) {
	through := 0
	if a := d.report.Target.ThroughProxy; a != nil {
		through = a.Status
	}
	switch {
	case status < 400 && (v.Cause == string(proxyauth.CauseDenied) || through == http.StatusForbidden && d.sender == either):
		v.Cause = string(proxyauth.CauseDenied)
		v.Fix += " Without the proxy the target answers, so that it is the proxy's rules, and a matter of permission."
	case status < 400 && v.Cause == string(proxyauth.CauseTargetUnreachable):
		v.Fix += " Without the proxy the target answers, so that it is the proxy that does not get there: its DNS, its routes, or a firewall behind it."
	case status < 400 && d.sender == either && through != 0:
		v.Cause = string(proxyauth.CauseProxyFailed)
		v.Fix += " Without the proxy the target answers, so that it is the proxy."
	case status < 400:
		v.Fix += " Without the proxy the target answers, so that it is the proxy, or its rules."
	case through == status && d.sender != theProxy:
		if v.Cause == string(proxyauth.CauseTargetUnreachable) {
			v.Cause = causeTarget
		}
		v.Fix += fmt.Sprintf(" Without the proxy it answers %d, so that it is the target.", status)
	case v.Cause == causeForbidden || v.Cause == causeUnauthorized || v.Cause == causeTarget:
		v.Fix += fmt.Sprintf(" Without the proxy it answers %d: it fails there as well.", status)
	case v.Cause == string(proxyauth.CauseCredentialsRejected) && status == http.StatusProxyAuthRequired:
		v.Fix += " Without the proxy the target answers 407, too, so that the 407 is the target's."
	case v.Cause == string(proxyauth.CauseDenied):
		v.Fix += fmt.Sprintf(" Without the proxy it answers %d, so that a permission at the proxy alone does not help.", status)
	}
}

// withoutProxy returns the verdict where no proxy is used, or one of another kind.
func (d *diagnosis) withoutProxy(ctx context.Context, proxy func(*http.Request) (*url.URL, error), how string) *Verdict {
	base := d.base(proxy)
	defer base.CloseIdleConnections()
	o := d.fetch(ctx, base)
	if proxy == nil {
		d.report.Target.Direct = d.answerOf(o)
	} else {
		d.report.Target.ThroughProxy = d.answerOf(o)
	}
	v := d.judgeTarget(o, how)
	switch {
	case o.status != 0 || v.Cause != causeTarget:
	case proxy == nil:
		v.Cause, v.Fix = causeNoProxy, d.needsProxy()
	default: // what SOCKS says of the target is part of the error
		v.Cause = string(proxyauth.CauseProxyUnreachable)
		v.Fix = "Check the host and port of the SOCKS proxy, " + d.report.Proxy.Source + ", and whether it may and can connect to the target: the error tells which."
	}
	return v
}

// needsProxy says what to do if the target needs a proxy, where none is used.
func (d *diagnosis) needsProxy() string {
	name, value := proxyVariable(d.target.Scheme)
	used := " No proxy was used: " + d.report.Proxy.Reason + "."
	switch {
	case value == "":
		return "If this network needs a proxy, name it in " + name + ", or with -proxy." + used
	case os.Getenv("REQUEST_METHOD") != "" && d.target.Scheme == "http":
		return "Unset REQUEST_METHOD if this is no CGI program, or name the proxy with -proxy." + used
	case strings.Contains(d.report.Proxy.Reason, "NO_PROXY"):
		return "If the target is to be reached through the proxy in " + name + ", take that entry out of NO_PROXY." + used
	}
	return "Check that the service runs: this machine itself is never asked through a proxy." + used
}
