package proxyauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/httpmsg"
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

// permits returns nil if the scheme may be used at the proxy.
func (p *proxy) permits(ctx context.Context, scheme Scheme) error {
	if err := p.allows(ctx); err != nil {
		return err
	}
	if p.rules.forbidClear && p.url.Scheme == "http" && properties(scheme).RevealsSecret {
		return errCleartext
	}
	return nil
}

// allows returns nil if the proxy may be given credentials.
func (p *proxy) allows(ctx context.Context) error {
	if p.rules.allowProxy != nil && !p.rules.allowProxy(inCallback(ctx, p.state), p.shownURL()) {
		return errProxy
	}
	return nil
}

// permitsPreauthorized returns nil if the request may take the Proxy-Authorization that its
// caller has put there to the proxy.
func (p *proxy) permitsPreauthorized(r *http.Request) error {
	err := p.allows(r.Context())
	if err == nil && p.rules.forbidClear && p.url.Scheme == "http" && revealsSecret(r.Header) {
		err = errCleartext
	}
	if err == nil {
		return nil
	}
	return &Error{Cause: CausePolicyForbids, Op: opForward, Proxy: p.name, Target: httpmsg.Host(r), Err: err}
}

// revealsSecret reports whether h has an authorization of Basic.
func revealsSecret(h http.Header) bool {
	for key, values := range h {
		for _, v := range values {
			scheme, _, _ := strings.Cut(strings.TrimSpace(v), " ")
			if isAuthorization(key) && strings.EqualFold(scheme, "Basic") {
				return true
			}
		}
	}
	return false
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
