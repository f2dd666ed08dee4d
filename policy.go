package proxyauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A policy holds the rules of a Transport for sending credentials.
type policy struct {
	allowProxy     func(context.Context, *url.URL) bool
	forbidClear    bool
	allowDowngrade bool
	preemptive     bool
	errorOn407     bool
}

var (
	errProxy     = fmt.Errorf("%w: Transport.AllowProxy does not allow this proxy", ErrForbidden)
	errCleartext = fmt.Errorf("%w: the scheme reveals the secret on an http:// proxy's connection (Transport.ForbidCleartext)", ErrForbidden)
	errDowngrade = fmt.Errorf("%w: the proxy has offered a stronger scheme or algorithm before (Transport.InsecureAllowDowngrade)", ErrForbidden)
)

// rules returns what the errors say of the rules that have forbidden something.
func (e *Error) rules() (rules []string) {
	for _, err := range e.Unwrap() {
		if s, ok := errors.AsType[*SchemeError](err); ok && s != nil && s.Err != nil {
			err = s.Err
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			rule, ok := strings.CutPrefix(line, ErrForbidden.Error()+": ")
			if ok && !slices.Contains(rules, rule) {
				rules = append(rules, printable(rule))
			}
		}
	}
	return rules
}

// permits returns nil if the scheme may be used at the proxy.
func (p *proxy) permits(ctx context.Context, scheme Scheme) error {
	if p.rules.allowProxy != nil && !p.rules.allowProxy(askFor(ctx, p), p.shownURL()) {
		return errProxy
	}
	if p.rules.forbidClear && p.url.Scheme == "http" && properties(scheme).RevealsSecret {
		return errCleartext
	}
	return nil
}

// downgraded reports whether a scheme is weaker than the one that the proxy has
// been known to offer. That one may have failed here, for want of a ticket, say.
// But where the proxy has accepted it, an offer of it that can't be answered is as
// good as none.
func (a *attempt) downgraded(index int) bool {
	a.p.mu.Lock()
	floor, held := a.p.floor, a.p.held
	a.p.mu.Unlock()
	switch {
	case index <= floor || a.p.rules.allowDowngrade:
		return false
	case !slices.Contains(a.excluded, floor):
		return true
	}
	name := a.p.schemes[floor].Name()
	return held && slices.ContainsFunc(a.tried, func(t *SchemeError) bool {
		return t.Scheme == name && errors.Is(t, ErrUnsupportedChallenge)
	})
}

// noteOffered notes the strongest scheme that the proxy offers, where none could be
// begun: what is weaker does not take its place later on.
func (a *attempt) noteOffered() {
	strongest := slices.IndexFunc(a.p.schemes, func(s Scheme) bool { return len(a.own(s)) > 0 })
	if strongest < 0 {
		return
	}
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.floor = min(a.p.floor, strongest)
}

// weakened reports whether the last authorization is weaker than what the proxy has
// been known to ask for.
func (a *attempt) weakened() bool {
	if a.handshakes() {
		return false
	}
	grade := int64(a.session.last.Strength)
	for {
		before := a.method.habit.grade.Load()
		if grade < before {
			return !a.p.rules.allowDowngrade
		}
		if a.method.habit.grade.CompareAndSwap(before, grade) {
			return false
		}
	}
}

// preempt takes the strongest scheme that can be begun without a challenge, if
// the rules ask for it and nothing is known of the proxy.
func (a *attempt) preempt(ctx context.Context, conn *tls.ConnectionState) error {
	if !a.p.rules.preemptive || a.flight == nil || a.preempted || a.p.isKnown() {
		return nil
	}
	a.preempted = true
	for i := range a.p.schemes {
		chosen, err := a.try(ctx, i, conn)
		if chosen || err != nil {
			break
		}
		if n := len(a.tried); n > 0 && errors.Is(a.tried[n-1], ErrChallengeRequired) {
			break // the proxy may well offer this one, and what is weaker is not sent unasked
		}
	}
	// What can't be done now may be when the proxy has challenged.
	a.tried, a.excluded = nil, nil
	return context.Cause(ctx)
}

// AllowHosts returns a func for [Transport.AllowProxy] that allows the proxies
// with one of the hosts: a name, a name with a port, or a domain that begins with
// a dot and stands for all names below it. Without a port, any is allowed. Case
// makes no difference. Without hosts, no proxy is allowed.
func AllowHosts(hosts ...string) func(context.Context, *url.URL) bool {
	hosts = slices.Clone(hosts)
	for i := range hosts {
		hosts[i] = strings.ToLower(hosts[i])
		if strings.HasSuffix(hosts[i], "]") {
			hosts[i] = strings.Trim(hosts[i], "[]") // an IPv6 address without a port
		}
	}
	return func(_ context.Context, proxy *url.URL) bool {
		name := strings.ToLower(proxy.Hostname())
		return slices.ContainsFunc(hosts, func(h string) bool {
			if strings.HasPrefix(h, ".") {
				return strings.HasSuffix(name, h)
			}
			return h == name || h == strings.ToLower(proxy.Host)
		})
	}
}
