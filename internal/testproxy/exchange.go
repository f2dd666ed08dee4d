package testproxy

import (
	"io"
	"math"
	"net/http"
	"strings"
)

// An exchange is one request on a connection and its answer.
type exchange struct {
	c      *Conn
	req    *http.Request
	body   *requestBody // nil if there is none
	sent   *sentBody    // what of it the target is being sent, nil if nothing
	leg    *Leg
	grant  Verdict // by which the request is let through
	action *Action // how to misbehave, never nil
	err    error   // why nothing more is written
}

// exchange serves the next request and reports whether another may follow.
func (c *Conn) exchange() bool {
	x := &exchange{c: c, action: new(Action)}
	head, err := readHead(c.r)
	if err != nil {
		if err != io.EOF || head != "" {
			c.brokenHead(head, err)
		}
		return false
	}
	if x.req, err = parseHead(head); err != nil {
		c.violation("malformed request")
		return x.malformed(head)
	}
	x.begin(head)
	return x.serve()
}

// brokenHead notes a head that is cut off or too large. A connection that is
// closed from this side is none of the client's doing.
func (c *Conn) brokenHead(head string, err error) {
	if head != "" && c.proxy.ctx.Err() == nil {
		c.violation("request head: " + headError(err))
	}
}

func headError(err error) string {
	if err == errHeadTooLarge {
		return err.Error()
	}
	return "cut off"
}

// malformed answers what can't be parsed.
func (x *exchange) malformed(head string) bool {
	line, _, _ := strings.Cut(head, "\n")
	method, rest, _ := strings.Cut(strings.TrimRight(line, "\r"), " ")
	target, _, _ := strings.Cut(rest, " ")
	x.req = &http.Request{
		Method: method, RequestURI: target, Header: make(http.Header), Close: true, ProtoMajor: 1, ProtoMinor: 1,
	}
	x.begin(head)
	x.respond(page(http.StatusBadRequest))
	return false
}

// begin puts the request on record.
func (x *exchange) begin(head string) {
	c := x.c
	c.legs++
	x.leg = &Leg{
		Conn:   c.number,
		Number: c.legs,
		Method: x.req.Method,
		Target: x.req.RequestURI,
		Proto:  x.req.Proto,
		Head:   head,
		Header: x.req.Header.Clone(),
	}
	if hosts := rawField(head, "Host"); hosts != nil {
		x.leg.Header["Host"] = hosts
	}
	x.leg.Scheme, _, _ = credentials(x.leg.Header)
	c.proxy.record.add(x.leg, c.record)
	x.body = newRequestBody(x.req, c.r, x.received)
	if x.expectsContinue() && x.body != nil {
		x.body.onRead = x.sayContinue
	}
}

func (x *exchange) received(n int) {
	x.c.proxy.record.update(func() { x.leg.BodyBytes += int64(n) })
}

func (x *exchange) expectsContinue() bool {
	return strings.EqualFold(x.req.Header.Get("Expect"), "100-continue")
}

func (x *exchange) sayContinue() {
	x.c.w.WriteString("HTTP/1.1 100 Continue\r\n\r\n")
	x.c.w.Flush()
}

// serve decides on the request, and carries it out.
func (x *exchange) serve() bool {
	x.inspect()
	auth, fault := x.c.proxy.current()
	refusal := x.authenticate(auth)
	if refusal != nil && refusal.drop {
		x.broken("dropped")
		return false
	}
	x.ask(fault, refusal)
	x.reach(OnRequest)
	switch {
	case x.err != nil:
		return false
	case refusal != nil:
		return x.respond(refusal)
	case x.answersItself():
		return x.respond(page(x.action.Status))
	case x.req.Method == http.MethodConnect:
		return x.tunnel()
	}
	return x.forward()
}

// ask asks the fault what to do, with the status that a well-behaved proxy
// would answer.
func (x *exchange) ask(fault Fault, refusal *answer) {
	if fault == nil {
		return
	}
	leg := x.c.proxy.record.snapshot(x.leg)
	leg.Status = http.StatusOK
	if refusal != nil {
		leg.Status = refusal.status
	}
	if action := fault(&leg); action != nil {
		x.action = action
	}
}

// answersItself reports whether the fault keeps the request from its target. A
// successful status to CONNECT is still that of a tunnel.
func (x *exchange) answersItself() bool {
	if x.action.Raw != "" {
		return true
	}
	status := x.action.Status
	return status != 0 && !(x.req.Method == http.MethodConnect && successful(status))
}

func successful(status int) bool { return status/100 == 2 }

// squidReads is how much squid 5.7 reads of the body of a request that it has
// refused.
const squidReads = 64 << 10

// respond answers without asking the target and does with the body what the
// policy says.
func (x *exchange) respond(a *answer) bool {
	policy := x.action.RefusedBody
	if policy == 0 {
		policy = x.c.proxy.config.RefusedBody
	}
	switch {
	case x.body == nil:
		return x.write(a)
	case policy == AnswerThenRead:
		return x.respondFirst(a) && x.body.drain(math.MaxInt64)
	case policy == SquidBody:
		return x.respondFirst(a) && x.drainLikeSquid()
	case policy == AnswerThenClose || x.expectsContinue():
		a.close = true
		return x.respondFirst(a)
	}
	if !x.body.drain(math.MaxInt64) {
		x.broken("cut off")
		return false
	}
	return x.write(a)
}

// respondFirst answers before the body is read, which the client then need not
// be told to send.
func (x *exchange) respondFirst(a *answer) bool {
	x.body.onRead = nil
	return x.write(a)
}

func (x *exchange) drainLikeSquid() bool {
	if x.body.drain(squidReads) {
		return true
	}
	x.c.playDead()
	return false
}
