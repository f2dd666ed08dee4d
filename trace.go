package proxyauth

import (
	"net/http"
	"net/http/httptrace"
	"time"
)

// A Trace is a set of hooks that are told what a [Transport] does at a proxy. Any
// of them may be nil. They are called by the goroutines that do the work, many at
// a time, and hold them up.
//
// CredentialsAsked, Authenticated and Rejected are about the proxy and all who use
// it: they have no target, op or leg number.
//
// No hook is given a secret, a token or user info. All that comes from the proxy
// is text of a peer.
type Trace struct {
	// LegSent is called when a leg is about to be written to a connection.
	LegSent func(TraceInfo)

	// LegAnswered is called when the header of the answer has arrived, or Err
	// says why none has.
	LegAnswered func(TraceInfo)

	// Challenged is called for each 407, with the schemes offered.
	Challenged func(TraceInfo)

	// CredentialsAsked is called when the provider has answered; Err is its
	// error.
	CredentialsAsked func(TraceInfo)

	// Authenticated is called when the proxy has accepted credentials that
	// were not proved.
	Authenticated func(TraceInfo)

	// Rejected is called when the proxy has refused credentials.
	Rejected func(TraceInfo)

	// TunnelOpened is called when a tunnel is open; Leg is the number of legs
	// and Duration the time it took.
	TunnelOpened func(TraceInfo)
}

// A TraceInfo says what a hook of a [Trace] is called for. Fields that don't apply
// are zero.
type TraceInfo struct {
	// Op is "CONNECT" for a tunnel, "forward" for a forwarded request, "open"
	// for a leg of a handshake that precedes one on a connection, "probe" for
	// a request that only asks the proxy for a challenge.
	Op string

	// Proxy is the URL of the proxy, without user info.
	Proxy string

	// Target is the host, with a port for CONNECT, that the request is for.
	Target string

	// Scheme is the auth-scheme of the leg's Proxy-Authorization, or that the
	// credentials are for. It is empty for a leg without.
	Scheme string

	// Leg is the number of the leg, counted from 1 for each request; what
	// opens a connection is counted on its own.
	Leg int

	// Reused says that the connection has carried an answer before.
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
func call(hook func(TraceInfo), info TraceInfo) {
	if hook != nil {
		hook(info)
	}
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
func (p *proxy) challenged(info TraceInfo, resp *http.Response) {
	p.count.challenges.Add(1)
	if p.trace == nil {
		return
	}
	challenges, _ := ParseChallenges(resp.Header)
	info.Status, info.Offered = resp.StatusCode, schemesOf(challenges)
	call(p.trace.Challenged, info)
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
func (d *dialogue) traced(leg func() (*http.Response, bool, error)) (*http.Response, bool, error) {
	t := d.p.trace
	if t == nil {
		return leg()
	}
	info := d.legInfo()
	info.Reused = d.wire.used
	start := time.Now()
	call(t.LegSent, info)
	resp, keep, err := leg()
	info.answered(start, resp, err)
	call(t.LegAnswered, info)
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
	leg := &tracedLeg{info: f.legInfo(s)} // f itself is not to escape
	s.req = s.req.WithContext(httptrace.WithClientTrace(s.req.Context(), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { leg.sent(t, got) },
	}))
	resp, err := f.roundTrip(s)
	if s.pool == boundPool {
		f.carried = leg.info.Scheme
	}
	if !leg.start.IsZero() {
		leg.info.answered(leg.start, resp, err)
		call(t.LegAnswered, leg.info)
	}
	return resp, err
}

func (l *tracedLeg) sent(t *Trace, got httptrace.GotConnInfo) {
	l.info.Reused = got.Reused
	if c, ok := got.Conn.(*boundConn); ok {
		l.info.Scheme, l.info.Reused = c.scheme(), got.Reused || c.used
	}
	l.start = time.Now()
	call(t.LegSent, l.info)
}

// What a TraceInfo or an Error is about.
const (
	opConnect = http.MethodConnect
	opForward = "forward"
	opOpen    = "open"
	opProbe   = "probe"
	opDial    = "dial"
)
