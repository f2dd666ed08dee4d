package testproxy

import (
	"io"
	"net"
	"net/http"
	"sync"
)

// tunnel connects to the target and relays until both sides are done.
func (x *exchange) tunnel() bool {
	c := x.c
	target, err := c.proxy.dial(c.proxy.ctx, "tcp", x.leg.Target)
	if err != nil {
		return x.respond(page(http.StatusServiceUnavailable))
	}
	defer target.Close()
	c.leadsTo(target)
	x.sayConnected()
	x.reach(AfterAnswer)
	if x.err != nil || x.action.Close || x.action.SayClose {
		return false
	}
	c.proxy.record.update(func() { c.record.Tunnel = x.leg.Target })
	x.relay(target)
	return false
}

func (x *exchange) sayConnected() {
	a := newAnswer(http.StatusOK)
	a.misbehave(x.action)
	if x.action.Status == 0 && x.action.Reason == "" {
		a.reason = "Connection established"
	}
	if !x.c.proxy.config.BareConnect {
		a.add(x.grant.Header)
		if x.grant.HeaderFor != nil {
			a.add(x.grant.HeaderFor(nil))
		}
	}
	a.override(x.action.Header)
	x.writeHead(a, x.action.Behind)
	x.flush()
}

// relay carries bytes both ways. The end of one way is passed on as such; an
// error ends both.
func (x *exchange) relay(target net.Conn) {
	var up, down int64
	var wg sync.WaitGroup
	wg.Go(func() {
		first := x.firstBytes(target)
		up = first + x.pump(target, x.c.net)
	})
	down = x.pump(x.c.net, target)
	wg.Wait()
	record := x.c.record
	x.c.proxy.record.update(func() { record.Sent, record.Received = up, down })
}

// firstBytes passes on what the client sends first, part of which may have come
// with the CONNECT.
func (x *exchange) firstBytes(target net.Conn) int64 {
	x.c.r.Peek(1)
	data, _ := x.c.r.Peek(x.c.r.Buffered())
	x.inspectTunnel(data)
	n, _ := target.Write(data)
	return int64(n)
}

func (x *exchange) pump(dst, src net.Conn) int64 {
	buf := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(dst, src, buf[:])
	if err == nil {
		err = closeWrite(dst)
	}
	if err != nil {
		dst.Close()
		src.Close()
	}
	return n
}

// closeWrite half-closes conn, or closes it if it can't be.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}
