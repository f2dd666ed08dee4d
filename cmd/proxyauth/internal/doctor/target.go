package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// judge returns the verdict on an attempt.
func (d *diagnosis) judge(o *outcome) *Verdict {
	if e, ok := errors.AsType[*proxyauth.Error](o.err); ok {
		return d.judgeError(e)
	}
	d.report.Target.ThroughProxy = d.answerOf(o)
	if d.ownAnswer(o) {
		return d.judgeOwn(o)
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
	return d.secrets.clean(err.Error())
}

// ownAnswer reports whether an answer to a forwarded request looks as if it were the proxy's
// own.
func (d *diagnosis) ownAnswer(o *outcome) bool {
	if d.target.Scheme != "http" || o.status < 400 {
		return false
	}
	if o.header.Get("X-Squid-Error") != "" {
		return true
	}
	if d.decides == nil || d.decides.resp == nil || d.decides.resp.StatusCode != http.StatusProxyAuthRequired {
		return false
	}
	server := d.decides.resp.Header.Get("Server")
	return server != "" && server == o.header.Get("Server")
}

// judgeOwn returns the verdict on an answer of the proxy to a forwarded request.
func (d *diagnosis) judgeOwn(o *outcome) *Verdict {
	text := fmt.Sprintf("the proxy answers %d %s itself", o.status, http.StatusText(o.status))
	d.step("target", Failed, text)
	switch o.status {
	case http.StatusUnauthorized:
		return finding(proxyauth.CauseCredentialsRejected, text, "This proxy refuses a wrong user name or password with 401. Check both; they are not sent again.")
	case http.StatusForbidden:
		if o.scheme == "" {
			return finding(proxyauth.CauseDenied, text, "The proxy does not allow this target, whoever asks, or to users that it does not know. Ask whoever runs it.")
		}
		return finding(proxyauth.CauseDenied, text, "The proxy knows the user, and does not allow this target. Ask whoever runs it.")
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return d.unreachable(text)
	}
	return finding(proxyauth.CauseProxyFailed, text, "The status is the proxy's own; ask whoever runs it.")
}

func (d *diagnosis) unreachable(text string) *Verdict {
	return finding(proxyauth.CauseTargetUnreachable, text, "The proxy can't reach the target. Check the target's name and port.")
}

// judgeTarget returns the verdict on an answer that is the target's, reached in some way.
func (d *diagnosis) judgeTarget(o *outcome, how string) *Verdict {
	if o.err != nil && o.status == 0 {
		return d.judgeTargetError(o.err, how)
	}
	text := fmt.Sprintf("the target answers %d %s %s", o.status, http.StatusText(o.status), how)
	result := Failed
	if o.status < 400 {
		result = OK
	}
	d.step("target", result, fmt.Sprintf("%s (%v)", text, millis(o.took)))
	switch {
	case o.status < 400:
		return &Verdict{OK: true, Cause: causeWorks, Text: text}
	case o.status == http.StatusUnauthorized:
		return finding(causeUnauthorized, text, "The 401 is the target's: it wants a login of its own, in Authorization. The proxy, which would ask with 407, is content.")
	case o.status == http.StatusForbidden:
		return finding(causeForbidden, text, "The 403 is not a question of the proxy's login. The target refuses the request, or the proxy does not allow it: -direct tells them apart.")
	case d.target.Scheme == "http" && d.proxy != nil && (o.status == http.StatusBadGateway || o.status == http.StatusServiceUnavailable || o.status == http.StatusGatewayTimeout):
		return d.unreachable(text)
	}
	return finding(causeTarget, text, "The request has come through. The status is the target's own.")
}

func (d *diagnosis) judgeTargetError(err error, how string) *Verdict {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		text := "the target's certificate is not trusted " + how + ": " + printable(e.Err.Error())
		var details []string
		if len(e.UnverifiedCertificates) > 0 {
			details = append(details, "signed by "+printable(e.UnverifiedCertificates[0].Issuer.String()))
		}
		d.step("target", Failed, text, details...)
		return finding(causeCertificate, text, "If the proxy looks into TLS, add the certificate of its authority to this machine's trusted ones, or to the program's; "+
			"check with -ca FILE. If it doesn't, the target needs another certificate.")
	}
	text := "the target gives no answer " + how + ": " + d.targetError(err)
	d.step("target", Failed, text)
	return finding(causeTarget, text, "The way to the target is open, and then the connection fails. Check the target's port, and whether it speaks "+d.target.Scheme+".")
}

// direct asks the target without the proxy, and adds to the verdict what that says.
func (d *diagnosis) direct(ctx context.Context, v *Verdict) {
	base := d.base(nil)
	defer base.CloseIdleConnections()
	o := d.fetch(ctx, base)
	d.report.Target.Direct = d.answerOf(o)
	if o.err != nil && o.status == 0 {
		d.step("direct", Warning, "without the proxy the target gives no answer: "+d.targetError(o.err))
		if slices.Contains([]string{string(proxyauth.CauseTargetUnreachable), string(proxyauth.CauseProxyFailed), causeTarget}, v.Cause) {
			v.Fix += " It does not answer without the proxy either."
		}
		return
	}
	d.step("direct", OK, fmt.Sprintf("without the proxy the target answers %d %s (%v)", o.status, http.StatusText(o.status), millis(o.took)))
	switch {
	case v.OK:
	case o.status < 400:
		v.Fix += " Without the proxy the target answers, so that it is the proxy, or its rules."
	case v.Cause == causeForbidden || v.Cause == causeUnauthorized || v.Cause == causeTarget:
		v.Fix += fmt.Sprintf(" Without the proxy it answers %d, so that it is the target.", o.status)
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
