package proxyauth

import (
	"context"
	"net/http"
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

	// Waiting is called when a request begins to wait, for 15 s at most, until its
	// credentials may be sent: the proxy has not accepted them yet, or is in doubt
	// of them, and other requests are trying them, or a pause is not over.
	Waiting func(context.Context, TraceInfo)

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
	// Op is "CONNECT" for a tunnel, "forward" for a forwarded request. A leg that
	// the Transport adds, in place of a request whose body must not be sent yet, is
	// "open" if it opens a handshake, and "probe" otherwise.
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

	// Leg is the number of the leg, counted from 1 for each request.
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

// tracer calls hooks.
type tracer struct {
	*Trace // not nil
	state  *state
}

func (t tracer) call(ctx context.Context, hook func(context.Context, TraceInfo), info TraceInfo) {
	if hook != nil && !isCallback(ctx, t.state) {
		hook(inCallback(ctx, t.state), info)
	}
}

// legSent returns when the leg was sent.
func (t tracer) legSent(ctx context.Context, leg *TraceInfo) (start time.Time) {
	if leg == nil {
		return start
	}
	start = time.Now()
	t.call(ctx, t.LegSent, *leg)
	return start
}

func (t tracer) legAnswered(ctx context.Context, leg *TraceInfo, start time.Time, resp *http.Response, err error) {
	if leg == nil {
		return
	}
	info := *leg
	info.Duration, info.Err = time.Since(start), err
	if resp != nil {
		info.Status = resp.StatusCode
	}
	t.call(ctx, t.LegAnswered, info)
}

func (t tracer) challenged(ctx context.Context, leg *TraceInfo, resp *http.Response, offered func() []string) {
	if leg == nil {
		return
	}
	info := *leg
	info.Status, info.Offered = resp.StatusCode, offered()
	t.call(ctx, t.Challenged, info)
}

func (t tracer) tunnelOpened(ctx context.Context, leg *TraceInfo, start time.Time, resp *http.Response) {
	if leg == nil {
		return
	}
	info := *leg
	info.Status, info.Duration = resp.StatusCode, time.Since(start)
	t.call(ctx, t.TunnelOpened, info)
}

// followsLegs reports whether there is a hook that is called for a leg.
func (t tracer) followsLegs() bool {
	return t.LegSent != nil || t.LegAnswered != nil || t.Challenged != nil || t.TunnelOpened != nil
}

// legInfo returns what is known of the leg about to be sent, nil if no hook wants that.
func (d *driver) legInfo() *TraceInfo {
	if !d.p.trace.followsLegs() {
		return nil
	}
	info := &TraceInfo{Op: d.op, Proxy: d.p.name, Target: d.host, Leg: d.legs, Reused: d.path.reused()}
	switch {
	case d.added && d.phase == starting:
		info.Op = opOpen
	case d.added:
		info.Op = opProbe
	}
	if (d.phase == starting || d.phase == completing) && d.login != nil {
		info.Scheme = d.login.scheme.Name()
	}
	return info
}

// schemesOf returns the auth-schemes of challenges.
func schemesOf(challenges []Challenge) []string {
	var names []string
	for _, c := range challenges {
		names = append(names, c.Scheme)
	}
	return names
}

// What a TraceInfo or an Error is about.
const (
	opConnect = http.MethodConnect
	opForward = "forward"
	opOpen    = "open"
	opProbe   = "probe"
	opDial    = "dial"
)
