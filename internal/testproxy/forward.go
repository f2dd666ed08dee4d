package testproxy

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
)

// hopByHop holds the fields that a proxy removes (RFC 9110, Section 7.6.1),
// Proxy-Authenticate of an origin's 407 among them.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info",
}

var errNotForwarded = errors.New("not an absolute http URI")

func endToEnd(h http.Header) http.Header {
	h = h.Clone()
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
	return h
}

// forward passes the request to its target and the answer to the client.
func (x *exchange) forward() bool {
	ctx, cancel := context.WithCancel(x.c.proxy.ctx)
	defer cancel()
	out, err := x.outgoing(ctx)
	if err != nil {
		return x.respond(page(http.StatusBadRequest))
	}
	resp, err := x.c.proxy.transport.RoundTrip(out)
	if err != nil {
		cancel()
		x.sent.wait()
		x.write(page(http.StatusServiceUnavailable))
		return false
	}
	defer resp.Body.Close()
	if !x.relayAnswer(resp) {
		return false
	}
	x.sent.wait()
	return x.body.drain(math.MaxInt64)
}

func (x *exchange) outgoing(ctx context.Context) (*http.Request, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: x.relayInterim})
	out, err := http.NewRequestWithContext(ctx, x.req.Method, x.req.RequestURI, nil)
	if err != nil {
		return nil, err
	}
	if out.URL.Scheme != "http" || out.URL.Host == "" {
		return nil, errNotForwarded
	}
	out.Header = endToEnd(x.req.Header)
	out.Header.Del("Expect")
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // or net/http would add its own
	}
	if x.body != nil {
		x.body.prompt()
		x.sent = &sentBody{body: x.body, closed: make(chan struct{})}
		out.Body, out.ContentLength = x.sent, x.req.ContentLength
	}
	return out, nil
}

// relayInterim passes on a 1xx answer. 100 is between this proxy and the target.
func (x *exchange) relayInterim(status int, header textproto.MIMEHeader) error {
	if status == http.StatusContinue {
		return nil
	}
	a := newAnswer(status)
	a.header = http.Header(header)
	x.put(a.statusLine() + a.fields() + "\r\n")
	x.flush()
	return nil
}

func (x *exchange) relayAnswer(resp *http.Response) bool {
	a := newAnswer(resp.StatusCode)
	_, a.reason, _ = strings.Cut(resp.Status, " ")
	a.header = endToEnd(resp.Header)
	a.body, a.length = resp.Body, resp.ContentLength
	a.add(x.grant.Header)
	if x.grant.HeaderFor != nil && !x.headerFor(a) {
		return false
	}
	return x.write(a)
}

// headerFor adds the header that depends on the answer's body.
func (x *exchange) headerFor(a *answer) bool {
	data, err := io.ReadAll(io.LimitReader(a.body, maxBufferedBody))
	if err != nil {
		x.broken("target's body was cut off")
		return false
	}
	a.setBody(string(data))
	a.add(x.grant.HeaderFor(data))
	return true
}

// A sentBody tells when the transport has let go of a request's body, which may
// be after the answer.
type sentBody struct {
	body   *requestBody
	once   sync.Once
	closed chan struct{}
}

func (b *sentBody) Read(p []byte) (int, error) { return b.body.Read(p) }

func (b *sentBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

func (b *sentBody) done() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// wait waits for the transport to let go of the body, if there is one.
func (b *sentBody) wait() {
	if b != nil {
		<-b.closed
	}
}
