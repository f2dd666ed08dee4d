package e2e_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// idField tags a request with the number of its call.
const idField = "X-Call"

// A call is a request of the program.
type call struct {
	id         int
	who        *identity
	proxy      string
	way        string
	body       string // sent, if the method is POST
	replayable bool

	begin, end int64 // on the model's clock
	took       time.Duration
	err        error           // nil if the origin has answered
	gone       bool            // the caller has given up
	closed     func() bool     // whether the body is; nil if there is none
	tunnels    []*numberedConn // over which it went
	arrived    []testproxy.OriginRequest
}

func (c *call) String() string {
	return fmt.Sprintf("call %d of %s by %s via %s", c.id, cmp.Or(c.who.user, "nobody"), c.way, c.proxy)
}

// The ways to an origin.
const (
	byForward = "forwarding"
	byTunnel  = "tunnel"
	rawTunnel = "raw tunnel"
)

var (
	callWays  = []string{byForward, byTunnel, rawTunnel}
	bodySizes = []int{0, 0, 10, 3000, 100_000}

	errGone = errors.New("the caller has gone")
)

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// make makes a call.
func (w *world) make(ctx context.Context, c *call) {
	ctx = context.WithValue(ctx, callKey{}, c)
	w.model.begin(c)
	start := time.Now()
	text, err := w.send(ctx, c)
	if want := fmt.Sprint("hello from /", c.id); err == nil && text != want {
		err = fmt.Errorf("answer is %q", text)
	}
	scanned.Error(w.t.Name(), err)
	c.err, c.took, c.gone = err, time.Since(start), ctx.Err() != nil
	w.model.ended(c)
}

// send sends what c says and returns the origin's answer.
func (w *world) send(ctx context.Context, c *call) (string, error) {
	scheme := "https"
	if c.way == byForward {
		scheme = "http"
	}
	if c.way == byTunnel {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			c.through(info.Conn.(*tls.Conn).NetConn())
		}})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(scheme, "://", originHost, "/", c.id), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set(idField, strconv.Itoa(c.id))
	c.attach(req)
	if c.way == rawTunnel {
		return c.sendRaw(req)
	}
	resp, err := c.who.program.rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if e, ok := proxyauth.ResponseError(resp); ok {
		return "", e
	}
	if resp.Request != req || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s %t %q %d", resp.Status, resp.Request == nil, resp.Proto, req.ContentLength)
	}
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// sendRaw sends req over a tunnel of its own.
func (c *call) sendRaw(req *http.Request) (string, error) {
	conn, err := c.who.program.rt.DialContext(req.Context(), "tcp", originHost+":80")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	c.through(conn)
	if err := req.Write(conn); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// through notes the tunnel that c goes through.
func (c *call) through(conn net.Conn) {
	if proxy, ok := conn.(*tls.Conn); ok {
		conn = proxy.NetConn()
	}
	c.tunnels = append(c.tunnels, conn.(*numberedConn))
}

// attach puts the body into req.
func (c *call) attach(req *http.Request) {
	if c.body == "" {
		return
	}
	body := &slowBody{text: strings.NewReader(c.body)}
	c.closed = body.closed.Load
	req.Method, req.ContentLength, req.Body = http.MethodPost, int64(len(c.body)), body
	if c.replayable {
		req.GetBody = func() (io.ReadCloser, error) { return &slowBody{text: strings.NewReader(c.body)}, nil }
	}
}

// A slowBody is a body that takes its time.
type slowBody struct {
	text   *strings.Reader
	closed atomic.Bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	time.Sleep(100 * time.Microsecond)
	return b.text.Read(p)
}

func (b *slowBody) Close() error {
	b.closed.Store(true)
	return nil
}
