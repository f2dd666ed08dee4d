package proxyauth

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/hint"
	"github.com/go-proxyauth/proxyauth/internal/printable"
	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
)

// Hint explains, for the person who has to fix it, what is likely to be wrong and
// what to do. It is empty for a nil *Error and for an unknown cause.
func (e *Error) Hint() string {
	if e == nil {
		return ""
	}
	text, ok := e.schemeHint()
	switch {
	case !ok:
		text = e.facts().Text()
	case e.Cause != CauseCredentialsRejected && kindOf(e).is(rejected):
		text += " The user name and password that the proxy was sent in its place were refused, and may be wrong as well."
	}
	return printable.Text(text)
}

// schemeHint returns the hint of the first error with one that determines the cause.
func (e *Error) schemeHint() (hint string, ok bool) {
	for _, err := range e.Unwrap() {
		var h interface {
			Cause() Cause
			Hint() string
		}
		if errors.As(err, &h) && (h.Cause() == e.Cause || e.Cause == CauseHeldBack && kindOf(err).is(heldBack)) && h.Hint() != "" {
			return h.Hint(), true
		}
	}
	return "", false
}

// facts returns what a hint depends on.
func (e *Error) facts() *hint.Facts {
	f := &hint.Facts{
		Cause: string(e.Cause), Connect: e.Op == opConnect, Itself: e.connectsToItself(),
		Proxy: e.Proxy, Source: e.source, Target: e.Target, Status: e.Status,
		Offered: e.Offered, Enabled: e.Enabled, Tried: len(e.Tried) > 0,
	}
	if why, ok := errors.AsType[*hint.Error](e); ok {
		f.Reason, f.ChannelBound = why.Reason, why.ChannelBound
	}
	switch {
	case e.Cause == CauseNoCredentials && f.Reason != hint.InCallback:
		f.Looked, f.Reason = e.looked()
	case e.Cause == CausePolicyForbids:
		f.Rules = e.rules()
	case e.Cause == CauseProxyUnreachable && f.Reason != hint.WantsTLS:
		f.Reason = hint.OfDial(e.Err)
	}
	return f
}

// looked returns where credentials were looked for, or that the provider has failed.
func (e *Error) looked() (where string, reason hint.Reason) {
	if len(e.Tried) > 0 {
		reason = hint.ProviderFailed
	}
	for _, t := range e.Tried {
		if t == nil || !kindOf(t.Err).is(noCredentials) {
			continue
		}
		reason = hint.Unknown
		_, where, _ = strings.Cut(t.Err.Error(), strings.TrimPrefix(ErrNoCredentials.Error(), "proxyauth: "))
		if where = strings.TrimLeft(where, ": "); where != "" {
			break
		}
	}
	return where, reason
}

// rules returns what the errors say of the rules that have forbidden something.
func (e *Error) rules() (rules []string) {
	errs := []error{e.Err}
	for _, t := range e.Tried {
		errs = append(errs, t.Unwrap())
	}
	for _, err := range errs {
		if err == nil {
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			rule, ok := strings.CutPrefix(line, ErrForbidden.Error()+": ")
			if ok && !slices.Contains(rules, rule) {
				rules = append(rules, printable.Text(rule))
			}
		}
	}
	return rules
}

// connectsToItself reports whether the proxy was asked for a tunnel to itself.
func (e *Error) connectsToItself() bool {
	u, err := url.Parse(e.Proxy)
	return err == nil && e.Op == opConnect && u.Host != "" && strings.EqualFold(e.Target, proxyaddr.Site(u))
}
