package proxyauth

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
)

const (
	MaxGuarded       = maxGuarded
	MaxKept          = maxKept
	MaxInformational = maxInformational
)

// NewGuardedConn returns conn as it is during a request with a body that a 407
// makes useless.
func NewGuardedConn(conn net.Conn) net.Conn {
	c := &guardedConn{Conn: conn}
	c.guarded.Store(true)
	return c
}

// RequestTarget returns what schemes are told of the request line of r.
func RequestTarget(r *http.Request) string { return requestTarget(r) }

// Connect sends a CONNECT over conn. It returns the answer, whether the
// connection is good for another leg, and what is handed on for the tunnel.
func Connect(ctx context.Context, conn net.Conn, maxHead int64) (resp *http.Response, keep bool, raw net.Conn, err error) {
	limit := &io.LimitedReader{R: conn}
	w := &wire{Conn: conn, limit: limit, br: bufio.NewReader(limit)}
	const target = "origin.example.com:443"
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: make(http.Header)}
	resp, keep, err = w.leg(ctx, req, maxHead)
	return resp, keep, w.raw(), err
}
