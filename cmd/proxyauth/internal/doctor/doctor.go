// Package doctor finds out why a URL does not load through a proxy.
//
// What comes before authentication, it asks itself: names, TCP, TLS, and two requests without
// authorization, or a third one where the answers may not be those of a proxy. Authentication
// is done by a [proxyauth.Transport], so that what is reported is what a program would see.
package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// DefaultTimeout is for how long a step waits for an answer.
const DefaultTimeout = 10 * time.Second

// A Config says what is to be found out. Its zero value, but for URL, looks at what a program
// does by default.
type Config struct {
	// URL is what does not load.
	URL *url.URL

	// Proxy is the URL of the proxy. Empty means the one of the environment.
	Proxy string

	// User is the user. Empty means the one that the credentials are found with.
	User string

	// Password is the password of User, nil to look for one.
	Password *proxyauth.Secret

	// Prompt lets a person be asked at the terminal.
	Prompt bool

	// Schemes are the auth-schemes that may be used. Empty means all.
	Schemes []string

	// SPN is the service principal name of the proxy. Empty means HTTP/host.
	SPN string

	// Engine is that of Negotiate. Nil means that of schemes.Default.
	Engine negotiate.Engine

	// Roots are the authorities that are trusted. Nil means the system's.
	Roots *x509.CertPool

	// Timeout is for how long a step waits for an answer. Zero means DefaultTimeout.
	Timeout time.Duration

	// Direct asks the target without the proxy as well.
	Direct bool

	// TryAll tries each scheme once, also after one in which the password was refused.
	TryAll bool

	// Headers adds the headers of requests and answers to the steps.
	Headers bool

	// Progress is called for each step when it is done. Nil means not.
	Progress func(Step)
}

// A diagnosis is under way.
type diagnosis struct {
	config  Config
	target  *url.URL
	report  *Report
	proxy   *url.URL // nil for none
	address string   // of the proxy, that accepts connections
	secrets secrecy

	decides       *probe                 // the answer that decides
	servers       []string               // what the proxy calls itself in Server
	connectStatus int                    // of the proxy's answer to a CONNECT to the host without authorization
	opensUnasked  bool                   // the proxy opens a tunnel without a question, though a request is answered with 407
	sender        sender                 // of the answer to a forwarded request
	skew          *time.Duration         // of the proxy's clock, nil if it is not known
	setup         *negotiate.Setup       // nil if Negotiate is not in common
	logon         bool                   // the logon session has a ticket for the proxy
	noKeytab      string                 // that is configured and does not exist, "" for none
	foreignKDC    bool                   // what answers as a KDC speaks something else
	blocked       *obstacle              // to Kerberos, nil if none is known
	credentials   *proxyauth.Credentials // nil for none
	looked        []string               // where there are none
	last          string                 // scheme of the last leg of the attempt that counts
	emptyIn       string                 // where there is an empty password, "" for nowhere
	unread        string                 // what can't be read though it is there, and why, "" for nothing

	ended func() bool // whether the user has ended it
}

// Run finds out why the URL does not load. It ends early, with what was found out by then, if
// ctx ends.
func Run(ctx context.Context, config Config) *Report {
	config.Timeout = cmp.Or(config.Timeout, DefaultTimeout)
	d := &diagnosis{config: config, target: inASCII(config.URL), report: &Report{Version: Version, URL: shownURL(config.URL), Target: new(TargetState)}}
	d.secrets.hideTarget(config.URL)
	d.ended = func() bool { return ctx.Err() != nil }
	v := d.run(ctx)
	if ctx.Err() != nil {
		v = cancelled()
	} else if d.config.Direct && d.report.Target.Direct == nil {
		d.direct(ctx, v)
	}
	if *d.report.Target == (TargetState{}) {
		d.report.Target = nil
	}
	d.report.Verdict = *v
	return d.report
}

// run takes the steps until the cause is found.
func (d *diagnosis) run(ctx context.Context) *Verdict {
	proxy, v := d.choose()
	switch {
	case v != nil:
		return v
	case proxy == nil:
		return d.withoutProxy(ctx, nil, "without a proxy")
	case strings.HasPrefix(proxy.Scheme, "socks5"):
		return d.withoutProxy(ctx, http.ProxyURL(proxy), "through the SOCKS proxy, which net/http speaks to itself")
	}
	d.proxy = proxy
	if v := d.reach(ctx); v != nil {
		return v
	}
	if v := d.offer(ctx); v != nil {
		return v
	}
	d.compare()
	if len(d.report.Schemes.Common) > 0 {
		d.inspect(ctx)
		if v := d.look(ctx); v != nil {
			return v
		}
		d.kerberos(ctx)
	}
	if ctx.Err() != nil {
		return cancelled()
	}
	o := d.attempt(ctx)
	if ctx.Err() != nil {
		return cancelled()
	}
	return d.judge(o)
}

// step reports a step.
func (d *diagnosis) step(name string, result Result, text string, details ...string) {
	d.stepWith(Step{Name: name, Result: result, Text: text, Details: details})
}

// stepWith reports a step, unless the user has ended it: what it says then is how it ended.
func (d *diagnosis) stepWith(s Step) {
	if d.ended() {
		return
	}
	d.report.Steps = append(d.report.Steps, s)
	if d.config.Progress != nil {
		d.config.Progress(s)
	}
}

// finding returns a verdict that something is wrong.
func finding[C ~string](cause C, text, fix string) *Verdict {
	return &Verdict{Cause: string(cause), Text: text, Fix: fix}
}

func cancelled() *Verdict { return finding(causeCancelled, "cancelled", "") }

// inASCII returns a URL with its host as it is sent to a proxy: bücher.example is
// xn--bcher-kva.example.
func inASCII(u *url.URL) *url.URL {
	address, err := proxyconn.ConnectTarget(addressOf(u))
	if err != nil {
		return u
	}
	host, _, _ := strings.Cut(address, ":")
	if strings.HasPrefix(address, "[") {
		return u // an IPv6 address
	}
	sent := *u
	sent.Host = host
	if u.Port() != "" {
		sent.Host += ":" + u.Port()
	}
	return &sent
}

// shownURL returns a URL without user info, query and fragment.
func shownURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	text := shown.String()
	if u.RawQuery != "" {
		text += "?…"
	}
	return text
}
