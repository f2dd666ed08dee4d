package proxyauth

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"os"
	"reflect"
	"strings"
	"time"
)

// A Trace is a set of hooks that are called for what a [Transport] does at a proxy.
// Any of them may be nil. They are called by the goroutines that do the work, many at
// a time, which wait for them to return.
//
// The context is that of the request. Requests that a hook makes itself must use it,
// as in [CredentialsProvider], or another client.
//
// CredentialsAsked, Accepted and Refused concern the proxy and all its users: their
// TraceInfo has no target, operation or leg number.
//
// No hook is given a secret, an authorization or user info. All that comes from the
// proxy is text of a peer.
type Trace struct {
	// ProxyChosen is called when the proxy of a request is known, or Reason says
	// why it takes none.
	ProxyChosen func(context.Context, TraceInfo)

	// LegSent is called when a leg is about to be written to a connection.
	LegSent func(context.Context, TraceInfo)

	// LegAnswered is called when the header of the answer has arrived, or Err
	// says why none has.
	LegAnswered func(context.Context, TraceInfo)

	// Challenged is called for each 407, with the schemes offered.
	Challenged func(context.Context, TraceInfo)

	// CredentialsAsked is called when the provider has answered. Err is its
	// error.
	CredentialsAsked func(context.Context, TraceInfo)

	// Accepted is called when the proxy has accepted credentials that it had not
	// accepted before.
	Accepted func(context.Context, TraceInfo)

	// Refused is called when the proxy has refused credentials.
	Refused func(context.Context, TraceInfo)

	// TunnelOpened is called when a tunnel is open. Leg is the number of legs
	// and Duration the time it took.
	TunnelOpened func(context.Context, TraceInfo)
}

// A TraceInfo says what a hook of a [Trace] is called for. Fields that don't apply
// are zero.
type TraceInfo struct {
	// Op is "CONNECT" for a tunnel, "forward" for a forwarded request, "open"
	// for a leg of a handshake that precedes one on a connection, "probe" for
	// a request that only asks the proxy for a challenge.
	Op string

	// Proxy is the URL of the proxy, without user info. It is empty if a request
	// takes no proxy.
	Proxy string

	// Reason says why a request takes no proxy, or one that is left to Base: for
	// example that HTTPS_PROXY is not set.
	Reason string

	// Target is the host, with a port for CONNECT, that the request is for.
	Target string

	// Scheme is the auth-scheme of the leg's authorization, or that the
	// credentials are for. It is empty for a leg without authorization.
	Scheme string

	// Leg is the number of the leg, counted from 1 for each request. The legs of
	// a handshake on a new connection are counted separately.
	Leg int

	// Reused means that the connection has carried an answer before.
	Reused bool

	// Status is the status code of the answer.
	Status int

	// Offered lists the auth-schemes of a 407.
	Offered []string

	// Duration is the time since LegSent, since the provider was asked, or
	// since the tunnel was begun.
	Duration time.Duration

	// Err is what went wrong.
	Err error
}

// call calls a hook if there is one.
func call(ctx context.Context, hook func(context.Context, TraceInfo), info TraceInfo) {
	if hook != nil {
		hook(ctx, info)
	}
}

// chosen traces the choice of a proxy, by its name, for a request. The name is empty
// if there is none.
func (s *state) chosen(req *http.Request, name string) {
	if s.trace == nil || s.trace.ProxyChosen == nil {
		return
	}
	info := TraceInfo{Target: req.URL.Host, Proxy: name}
	switch {
	case name == "":
		info.Reason = s.whyNone(req)
	case strings.HasPrefix(name, "socks5"):
		info.Reason = "a SOCKS proxy is left to Base"
	}
	s.trace.ProxyChosen(req.Context(), info)
}

// whyNone returns why Base's Proxy has chosen no proxy, as far as can be told.
func (s *state) whyNone(req *http.Request) string {
	switch {
	case s.base.Proxy == nil:
		return "Base.Proxy is nil"
	case reflect.ValueOf(s.base.Proxy).Pointer() != reflect.ValueOf(http.ProxyFromEnvironment).Pointer():
		return "Base.Proxy returned none"
	}
	name := strings.ToUpper(req.URL.Scheme) + "_PROXY"
	switch {
	case name == "HTTP_PROXY" && os.Getenv("REQUEST_METHOD") != "":
		return "HTTP_PROXY is not read in a CGI program (REQUEST_METHOD is set)"
	case os.Getenv(name) == "" && os.Getenv(strings.ToLower(name)) == "":
		return name + " is not set"
	}
	return "NO_PROXY names the host, or it is this machine"
}

// info returns what is known of the leg under way.
func (a *attempt) info(op string) TraceInfo {
	info := TraceInfo{Op: op, Proxy: a.p.name, Target: a.target, Leg: a.legs}
	if a.sent && a.method != nil {
		info.Scheme = a.method.scheme.Name()
	}
	return info
}

// answered completes info after a leg.
func (info *TraceInfo) answered(start time.Time, resp *http.Response, err error) {
	info.Duration, info.Err = time.Since(start), err
	if resp != nil {
		info.Status = resp.StatusCode
	}
}

// challenged counts a 407, and traces it as the answer to the leg of info.
func (p *proxy) challenged(ctx context.Context, info TraceInfo, resp *http.Response) {
	p.count.challenges.Add(1)
	if p.trace == nil {
		return
	}
	challenges, _ := ParseChallenges(resp.Header)
	info.Status, info.Offered = resp.StatusCode, schemesOf(challenges)
	call(ctx, p.trace.Challenged, info)
}

// schemesOf returns the auth-schemes of challenges.
func schemesOf(challenges []Challenge) []string {
	var names []string
	for _, c := range challenges {
		names = append(names, c.Scheme)
	}
	return names
}

// legInfo returns what is known of the leg under way.
func (d *dialogue) legInfo() TraceInfo {
	if d.op == opForward {
		return d.info(opOpen)
	}
	return d.info(d.op)
}

// traced makes a leg over the connection of a dialogue.
func (d *dialogue) traced(ctx context.Context, leg func() (*http.Response, bool, error)) (*http.Response, bool, error) {
	t := d.p.trace
	if t == nil {
		return leg()
	}
	info := d.legInfo()
	info.Reused = d.wire.used
	start := time.Now()
	call(ctx, t.LegSent, info)
	resp, keep, err := leg()
	info.answered(start, resp, err)
	call(ctx, t.LegAnswered, info)
	return resp, keep, err
}

// legInfo returns what is known of the leg under way.
func (f *forwarding) legInfo(s step) TraceInfo {
	info := f.info(opForward)
	if s.probe {
		info.Op = opProbe
	}
	if s.pool == boundPool {
		info.Scheme = f.carried
	}
	return info
}

// A tracedLeg is what the hooks are told of a leg over a pooled connection.
type tracedLeg struct {
	info  TraceInfo
	start time.Time // zero until it has a connection
}

// traced makes a leg over a pooled connection. net/http may choose another
// connection where one turns out to be closed: that is another leg sent.
func (f *forwarding) traced(s step) (*http.Response, error) {
	t := f.p.trace
	if t == nil {
		return f.roundTrip(s)
	}
	f.carried = ""
	ctx := f.req.Context()
	leg := &tracedLeg{info: f.legInfo(s)} // f itself is not to escape
	s.req = s.req.WithContext(httptrace.WithClientTrace(s.req.Context(), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { leg.sent(ctx, t, got) },
	}))
	resp, err := f.roundTrip(s)
	if s.pool == boundPool {
		f.carried = leg.info.Scheme
	}
	if !leg.start.IsZero() {
		leg.info.answered(leg.start, resp, err)
		call(ctx, t.LegAnswered, leg.info)
	}
	return resp, err
}

func (l *tracedLeg) sent(ctx context.Context, t *Trace, got httptrace.GotConnInfo) {
	l.info.Reused = got.Reused
	if c, ok := got.Conn.(*boundConn); ok {
		l.info.Scheme, l.info.Reused = c.scheme(), got.Reused || c.used
	}
	l.start = time.Now()
	call(ctx, t.LegSent, l.info)
}

// What a TraceInfo or an Error is about.
const (
	opConnect = http.MethodConnect
	opForward = "forward"
	opOpen    = "open"
	opProbe   = "probe"
	opDial    = "dial"
)
