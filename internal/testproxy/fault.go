package testproxy

import (
	"net/http"
	"sync/atomic"
)

// A Fault decides how the proxy misbehaves on a leg. It is called when the
// request's head has been read and judged: leg.Status is 407 (or whatever else
// the refusal is), or 200 for a request that is about to be let through. Nil
// means that the proxy behaves. Faults are called by all connections at once.
type Fault func(leg *Leg) *Action

// A Point is a moment of an exchange.
type Point int

// The moments at which a connection can be dropped or stalled.
const (
	Never        Point = iota
	OnRequest          // the head was read, the target knows nothing
	BeforeAnswer       // the target has answered, or the body of a refused request was read
	InStatusLine       // half the status line is out
	InHeader           // half the header is out
	AfterHeader        // and all of it with its empty line
	InBody             // part of the body is out
	AfterAnswer        // all of it; before the tunnel carries anything, for CONNECT
)

// A Framing is how the end of a body is told.
type Framing int

// The ways of RFC 9112, Section 6.3.
const (
	FramingAuto    Framing = iota // Content-Length where the length is known
	FramingChunked                // chunked, also to HTTP/1.0
	FramingClose                  // the end of the connection
)

// A BodyPolicy is what becomes of the body of a request that the proxy answers
// itself.
type BodyPolicy int

// What real proxies do.
const (
	// ReadThenAnswer reads the whole body first, as Apache does. A request
	// with Expect: 100-continue is answered at once, and the connection closed.
	ReadThenAnswer BodyPolicy = iota + 1

	// AnswerThenRead answers at once, then reads the body and goes on.
	AnswerThenRead

	// SquidBody answers at once and reads less than 64 KiB. The connection of a
	// longer body is dead, and so is what follows a request with Expect:
	// 100-continue, since it is read as the body that the client did not send.
	SquidBody

	// AnswerThenClose answers at once and closes, as tinyproxy does.
	AnswerThenClose
)

// An Action is a way to misbehave. Its zero value is none; all that is set
// happens together. An Action is not changed once it is in use.
type Action struct {
	// Status, Reason and Proto replace those of the status line. A request
	// with another status is kept from its target, but for a CONNECT that is
	// let through with another 2xx.
	Status int
	Reason string
	Proto  string

	// Raw is sent instead of an answer, and the connection closed. The target
	// knows nothing.
	Raw string

	// Interim is the status of a 1xx answer before the answer, such as "103
	// Early Hints"; InterimCount is how many there are, endless if negative,
	// one if zero.
	Interim      string
	InterimCount int

	// Challenges replaces the Proxy-Authenticate lines; empty and not nil
	// means none.
	Challenges []string

	// Header replaces fields, after everything else is in place; a field with
	// no values is removed.
	Header http.Header

	// FillHeader adds so many fields to the header, endlessly if negative.
	FillHeader int

	// Body replaces the body; Fill, with so many bytes, endlessly if negative.
	Body string
	Fill int64

	// Empty sends no body.
	Empty bool

	// Framing says how the body's end is told.
	Framing Framing

	// BodyToHead sends a body although the method is HEAD, as tinyproxy does.
	BodyToHead bool

	// Behind is sent in the same write as the answer to a CONNECT that is let
	// through: the first bytes of the tunnel.
	Behind string

	// Drop closes the connection at a point; Stall sends nothing after it
	// until the client gives up.
	Drop, Stall Point

	// Close closes the connection after the answer without saying so; SayClose
	// says so. Reset closes it, there or at Drop, with a reset.
	Close, SayClose, Reset bool

	// Keep keeps the connection open after an answer in HTTP/1.0.
	Keep bool

	// RefusedBody replaces [Config.RefusedBody].
	RefusedBody BodyPolicy
}

// Always does a on every leg.
func Always(a *Action) Fault { return func(*Leg) *Action { return a } }

// On does a on every leg that is about to be answered with status: 407, or 200
// for all that is let through.
func On(status int, a *Action) Fault {
	return OnLeg(func(leg *Leg) bool { return leg.Status == status }, a)
}

// OnMethod does a on every leg with the method.
func OnMethod(method string, a *Action) Fault {
	return OnLeg(func(leg *Leg) bool { return leg.Method == method }, a)
}

// OnScheme does a on every leg with a Proxy-Authorization of the scheme, as
// spelled; with none if it is empty.
func OnScheme(scheme string, a *Action) Fault {
	return OnLeg(func(leg *Leg) bool { return leg.Scheme == scheme }, a)
}

// OnLeg does a on every leg that match approves of.
func OnLeg(match func(*Leg) bool, a *Action) Fault {
	return func(leg *Leg) *Action {
		if match(leg) {
			return a
		}
		return nil
	}
}

// Times lets f misbehave n times.
func Times(n int, f Fault) Fault {
	var done atomic.Int64
	return func(leg *Leg) *Action {
		a := f(leg)
		if a == nil || done.Add(1) > int64(n) {
			return nil
		}
		return a
	}
}

// Once lets f misbehave once.
func Once(f Fault) Fault { return Times(1, f) }

// Script does the first action on the first leg, the second on the second, and
// so on, whatever the connection. An action may be nil.
func Script(actions ...*Action) Fault {
	var legs atomic.Int64
	return func(*Leg) *Action {
		i := legs.Add(1) - 1
		if i >= int64(len(actions)) {
			return nil
		}
		return actions[i]
	}
}

// First does what the first of faults does that does anything.
func First(faults ...Fault) Fault {
	return func(leg *Leg) *Action {
		for _, f := range faults {
			if a := f(leg); a != nil {
				return a
			}
		}
		return nil
	}
}
