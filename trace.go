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

// traced makes a leg over the connection of a dialogue.
func (d *dialogue) traced(leg func() (*http.Response, bool, error)) (*http.Response, bool, error) {
	t := d.p.trace
	if t == nil {
		return leg()
	}
	op := d.op
	if op == opForward {
		op = opOpen
	}
	info := d.info(op)
	info.Reused = d.wire.used
	start := time.Now()
	call(t.LegSent, info)
	resp, keep, err := leg()
	info.answered(start, resp, err)
	call(t.LegAnswered, info)
	return resp, keep, err
}

// traced makes a leg over a pooled connection.
func (f *forwarding) traced(s step) (*http.Response, error) {
	t := f.p.trace
	if t == nil {
		return f.roundTrip(s)
	}
	info := f.info(opForward)
	if s.probe {
		info.Op = opProbe
	}
	start := time.Now()
	s.req = s.req.WithContext(httptrace.WithClientTrace(s.req.Context(), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			info.Reused = got.Reused
			if c, ok := got.Conn.(*boundConn); ok {
				info.Scheme, info.Reused = c.scheme(), got.Reused || c.used
			}
			call(t.LegSent, info)
		},
	}))
	resp, err := f.roundTrip(s)
	info.answered(start, resp, err)
	call(t.LegAnswered, info)
	return resp, err
}

// What a TraceInfo or an Error is about.
const (
	opConnect = http.MethodConnect
	opForward = "forward"
	opOpen    = "open"
	opProbe   = "probe"
	opDial    = "dial"
)
