package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes"
)

// maxBody bounds what is read of the target's answer.
const maxBody = 64 << 10

// maxSteps is how many times the timeout of a step a request may take with all its legs.
const maxSteps = 6

// enabled returns the schemes that may be used, the strongest first.
func (d *diagnosis) enabled() []proxyauth.Scheme {
	list := schemes.Default()
	for i, s := range list {
		if s.Name() == "Negotiate" {
			list[i] = d.negotiateScheme()
		}
	}
	return slices.DeleteFunc(list, func(s proxyauth.Scheme) bool {
		return len(d.config.Schemes) > 0 && !contains(d.config.Schemes, s.Name())
	})
}

// compare says which schemes both sides know.
func (d *diagnosis) compare() {
	s := &Schemes{Offered: schemesOf(d.decides.challenges())}
	for _, scheme := range d.enabled() {
		s.Enabled = append(s.Enabled, scheme.Name())
		if contains(s.Offered, scheme.Name()) {
			s.Common = append(s.Common, scheme.Name())
		}
	}
	d.report.Schemes = s
	enabled := "enabled here: " + listed(s.Enabled)
	switch {
	case d.decides.resp == nil || d.decides.resp.StatusCode != http.StatusProxyAuthRequired:
		d.step("schemes", Skipped, "none is asked for", enabled)
	case len(s.Common) == 0:
		d.step("schemes", Failed, "none in common: the proxy offers "+orNone(listed(s.Offered)), enabled)
	default:
		d.step("schemes", OK, "in common: "+listed(s.Common), enabled)
	}
}

// uses reports whether a scheme is in common.
func (d *diagnosis) uses(scheme string) bool { return contains(d.report.Schemes.Common, scheme) }

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// An outcome is what came of an attempt.
type outcome struct {
	err    error // of the library, or of what is behind the proxy
	status int
	header http.Header
	scheme string // accepted
	last   string // scheme of the last leg, "" if it had none
	opened bool   // the tunnel was
	asked  bool   // the last leg was challenged
	took   time.Duration
}

// failure returns the error of the library, nil if there is none.
func (o *outcome) failure() *proxyauth.Error {
	e, _ := errors.AsType[*proxyauth.Error](o.err)
	return e
}

// passed reports whether the proxy has let the request through.
func (o *outcome) passed() bool { return o.failure() == nil && (o.status != 0 || o.opened) }

// attempt makes the request through the library: once with all schemes, as a program does,
// which ends with the first refusal, or once with each.
func (d *diagnosis) attempt(ctx context.Context) *outcome {
	if !d.config.TryAll || len(d.report.Schemes.Common) < 2 {
		return d.try(ctx, d.enabled())
	}
	var best *outcome
	for _, scheme := range d.enabled() {
		if !d.uses(scheme.Name()) || ctx.Err() != nil {
			continue
		}
		if o := d.try(ctx, []proxyauth.Scheme{scheme}); best == nil || better(o, best) {
			best = o
		}
	}
	if best != nil {
		d.last = best.last
	}
	return best
}

// better reports whether a says more than b, of a stronger scheme.
func better(a, b *outcome) bool { return a.weight() > b.weight() }

// weight is how much an outcome says: a success most, then that the proxy, or Kerberos on this
// machine, has said what is wrong, and least that there are no credentials for the scheme.
func (o *outcome) weight() int {
	e := o.failure()
	switch {
	case o.passed():
		return 3
	case e == nil:
		return 1
	case e.Cause == proxyauth.CauseNoCredentials:
		return 0
	case e.Cause == proxyauth.CauseHandshakeBroken, e.Cause == proxyauth.CauseSchemeFailed, e.Cause == proxyauth.CauseProxyFailed:
		return 1
	}
	return 2
}

// try makes the request once.
func (d *diagnosis) try(ctx context.Context, list []proxyauth.Scheme) *outcome {
	var attempt Attempt
	for _, s := range list {
		attempt.Schemes = append(attempt.Schemes, s.Name())
	}
	rt := &proxyauth.Transport{
		Base:        d.base(http.ProxyURL(d.plainProxy())),
		Schemes:     list,
		Credentials: d.provider(),
		ErrorOn407:  true,
		LegTimeout:  d.config.Timeout,
	}
	defer rt.CloseIdleConnections()
	seen := new(observed)
	rt.Trace = d.trace(seen)
	o := d.fetch(ctx, rt)
	attempt.Legs, o.opened = seen.now()
	attempt.OK, attempt.Status = o.passed(), o.status
	for _, leg := range attempt.Legs {
		o.asked = leg.Status == http.StatusProxyAuthRequired
		if o.last = leg.Scheme; attempt.OK && leg.Scheme != "" {
			attempt.Scheme = leg.Scheme
		}
	}
	o.scheme, d.last = attempt.Scheme, o.last
	if e := o.failure(); e != nil {
		attempt.Cause, attempt.Error, attempt.Status = string(e.Cause), d.secrets.clean(e.Error()), e.Status
		o.status, o.header = e.Status, e.Header()
	}
	d.report.Attempts = append(d.report.Attempts, attempt)
	d.reportAttempt(&attempt, o)
	return o
}

// plainProxy returns the proxy's URL with no user info: what there was has been found.
func (d *diagnosis) plainProxy() *url.URL {
	u := *d.proxy
	u.User = nil
	return &u
}

// base returns a transport of net/http.
func (d *diagnosis) base(proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           (&net.Dialer{Timeout: d.config.Timeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: d.config.Roots},
		TLSHandshakeTimeout:   d.config.Timeout,
		ResponseHeaderTimeout: d.config.Timeout,
		ForceAttemptHTTP2:     true,
	}
}

// fetch gets the target, without following redirects.
func (d *diagnosis) fetch(ctx context.Context, rt http.RoundTripper) *outcome {
	ctx, cancel := context.WithTimeout(ctx, maxSteps*d.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.target.String(), nil)
	if err != nil {
		return &outcome{err: err}
	}
	req.Header.Set("User-Agent", userAgent)
	client := &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	begin := time.Now()
	resp, err := client.Do(req)
	o := &outcome{err: err, took: time.Since(begin)}
	if err != nil {
		return o
	}
	defer resp.Body.Close()
	o.status, o.header = resp.StatusCode, resp.Header
	if e, ok := proxyauth.ResponseError(resp); ok { // a 401 in the realm of the proxy's challenge
		o.err = e
		return o
	}
	_, o.err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	return o
}

// observed is what a Trace has seen of an attempt. Some legs may outlast it.
type observed struct {
	mu     sync.Mutex
	legs   []Leg
	opened bool // the tunnel was
}

// now returns what was seen so far.
func (o *observed) now() (legs []Leg, opened bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.legs), o.opened
}

// trace records an attempt.
func (d *diagnosis) trace(o *observed) *proxyauth.Trace {
	return &proxyauth.Trace{
		LegAnswered: func(_ context.Context, info proxyauth.TraceInfo) {
			leg := Leg{Op: info.Op, Scheme: info.Scheme, Reused: info.Reused, Status: info.Status, Millis: millis(info.Duration)}
			if info.Err != nil {
				leg.Error = d.secrets.clean(info.Err.Error())
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			o.legs = append(o.legs, leg)
		},
		TunnelOpened: func(context.Context, proxyauth.TraceInfo) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.opened = true
		},
	}
}

func (d *diagnosis) reportAttempt(a *Attempt, o *outcome) {
	step := d.signIn(a, o)
	for i, leg := range a.Legs {
		step.Details = append(step.Details, fmt.Sprintf("leg %d  %s", i+1, leg.line()))
	}
	if e := o.failure(); e != nil {
		step.Details = append(append(step.Details, d.whatFailed(e)...), d.reasons(e.Header())...)
	}
	if d.config.Headers {
		step.Headers = d.attemptLines(a, o)
	}
	d.stepWith(step)
}

// signIn says in a few words what came of an attempt.
func (d *diagnosis) signIn(a *Attempt, o *outcome) Step {
	step := Step{Name: "sign-in", Result: Failed}
	e := o.failure()
	switch {
	case a.OK && a.Scheme != "":
		step.Result, step.Text = OK, "the proxy accepts "+a.Scheme
	case a.OK && (o.opened || o.status < 400):
		step.Result, step.Text = OK, "not needed: the proxy lets the request through"
	case a.OK:
		step.Result, step.Text = Skipped, "not asked for: the answer is "+statusText(o.status)
	case d.waitsForKerberos(o):
		step.Text = "kerberos failed"
	case e == nil:
		step.Text = "no answer"
	case isPortals(e):
		step.Text = strings.ReplaceAll(causePortal, "_", " ")
	case d.blocked != nil && d.tookItsPlace(e):
		step.Text = "kerberos failed"
	default:
		step.Text = strings.ReplaceAll(a.Cause, "_", " ")
	}
	if len(a.Schemes) == 1 && step.Result == Failed {
		step.Text = a.Schemes[0] + ": " + step.Text
	}
	return step
}

func (l Leg) line() string {
	scheme, conn := "no authorization", "new connection"
	if l.Scheme != "" {
		scheme = l.Scheme
	}
	if l.Reused {
		conn = "same connection"
	}
	answer := fmt.Sprintf("%d %s", l.Status, http.StatusText(l.Status))
	if l.Status == 0 {
		answer = "no answer"
	}
	return fmt.Sprintf("%-8s %-16s %-15s -> %s (%v)", l.Op, scheme, conn, answer, l.Millis)
}

// attemptLines returns what is known of the headers: Trace has none, as there are secrets in
// them.
func (d *diagnosis) attemptLines(a *Attempt, o *outcome) (lines []string) {
	for i, leg := range a.Legs {
		if leg.Scheme != "" {
			lines = append(lines, fmt.Sprintf("> leg %d: Proxy-Authorization: %s %s", i+1, leg.Scheme, removed))
		}
	}
	if o.header != nil {
		lines = append(append(lines, "the last answer"), d.answerLines(o.status, o.header)...)
	}
	return lines
}
