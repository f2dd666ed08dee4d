package proxyauth

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxShortBody is the length up to which a body is risked before authentication
// is settled. After a 407 to a longer one squid says keep-alive and reads no
// further.
const maxShortBody = 64<<10 - 1

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// delicate reports whether the request's body is to be sent only when it is
// settled that the proxy takes it.
func (f *forwarding) delicate() bool {
	r := f.req
	if !hasBody(r) {
		return false
	}
	return f.lost != nil || r.GetBody == nil || r.ContentLength < 0 || r.ContentLength > maxShortBody || r.Header["Expect"] != nil
}

// settled reports whether the next leg, with the session begun, will not be
// challenged, as far as one can know.
func (f *forwarding) settled() bool {
	if f.probed || (f.session != nil && f.fresh) {
		return true
	}
	if f.session == nil {
		return f.method == nil && f.lost == nil && f.p.isOpen()
	}
	if f.method.habit.perRequest.Load() {
		return f.p.accepts(f.method) // a token does not depend on a challenge
	}
	_, continues := f.session.Session.(Continuer)
	return !continues && f.flight == nil
}

// An outgoing is a request made from the caller's, and the value of its
// Proxy-Authorization, in one allocation.
type outgoing struct {
	req   http.Request
	value [1]string
}

// outgoing returns the request to be sent in the caller's place, which is the
// caller's if nothing is to be changed.
func (f *forwarding) outgoing(auth string) (*http.Request, error) {
	body, err := f.body()
	if err != nil {
		return nil, f.fail(CauseBodyNotReplayable, err)
	}
	f.bodySent = true
	if auth == "" && body == f.req.Body {
		return f.req, nil
	}
	o := &outgoing{req: *f.req}
	if auth != "" {
		o.value[0] = auth
		if o.req.Header = maps.Clone(f.req.Header); o.req.Header == nil {
			o.req.Header = make(http.Header, 1)
		}
		o.req.Header[authorizationField] = o.value[:]
	}
	o.req.Body = body
	return &o.req, nil
}

// body returns the body for the next leg.
func (f *forwarding) body() (io.ReadCloser, error) {
	f.held = nil
	switch {
	case !hasBody(f.req):
		return f.req.Body, nil
	case f.bodySent && f.req.GetBody == nil:
		return nil, ErrBodyNotReplayable
	case f.bodySent:
		return f.req.GetBody()
	case f.binds() && f.req.GetBody == nil:
		// net/http closes a body also if no connection could be made, or
		// the one it took has been closed meanwhile.
		f.held = &heldBody{body: f.req.Body}
		return f.held, nil
	}
	return f.req.Body, nil
}

// A heldBody is a body that is not closed, unless it has been read from, before
// it is let go.
type heldBody struct {
	body io.ReadCloser

	mu     sync.Mutex
	read   bool
	gone   bool // let go
	closed bool // Close was called
}

func (b *heldBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.read = true
	b.mu.Unlock()
	return b.body.Read(p)
}

func (b *heldBody) Close() error {
	b.mu.Lock()
	b.closed = true
	pass := b.read || b.gone
	b.mu.Unlock()
	if !pass {
		return nil
	}
	return b.body.Close()
}

// take returns the body for a reader that goes past the heldBody.
func (b *heldBody) take() io.Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = true
	return b.body
}

// unread reports whether nothing of the body has been read.
func (b *heldBody) unread() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.read
}

// letGo closes the body if that has been held up, and holds up nothing more.
func (b *heldBody) letGo() {
	b.mu.Lock()
	late := b.closed && !b.read && !b.gone
	b.gone = true
	b.mu.Unlock()
	if late {
		b.body.Close()
	}
}

// drain reads what is left of a body, up to a limit, so that its connection can
// be used again.
func drain(body io.ReadCloser) {
	timer := time.AfterFunc(drainPatience, func() { body.Close() })
	defer timer.Stop()
	io.CopyN(io.Discard, body, maxDrained)
}

// newProbe returns a request that asks the proxy for a challenge in place of the
// caller's: nothing of that but the URL.
func (f *forwarding) newProbe(ctx context.Context) *http.Request {
	r := &http.Request{
		Method:     http.MethodGet,
		URL:        f.req.URL,
		Host:       f.req.Host,
		Header:     make(http.Header),
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
	}
	return r.WithContext(ctx)
}

// sendProbe sends a probe and reads the answer, whose body is kept as far as it
// is of use.
func (p *proxy) sendProbe(req *http.Request) (*http.Response, error) {
	ctx, cancel := p.withTimeout(req.Context())
	defer cancel()
	resp, err := p.pools.get(requestPool).RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusProxyAuthRequired {
		keepBody(resp)
	} else {
		resp.Body.Close()
	}
	return resp, nil
}

// keepBody reads the body of resp, up to a limit, so that it can be read when its
// connection has been given back.
func keepBody(resp *http.Response) {
	body := resp.Body
	timer := time.AfterFunc(drainPatience, func() { body.Close() })
	defer timer.Stop()
	kept, err := readUpTo(body, maxDrained+1)
	body.Close()
	resp.Body = newKeptBody(kept[:min(len(kept), maxDrained)], err == io.EOF && len(kept) <= maxDrained)
}

// readUpTo reads no more than limit bytes. A page that is as short as most does not
// cost the whole limit.
func readUpTo(r io.Reader, limit int) (b []byte, err error) {
	b = make([]byte, 0, min(limit, 8<<10))
	for len(b) < limit && err == nil {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, limit), b...)
		}
		var n int
		n, err = r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
	}
	return b, err
}

// describe returns what a session may want to know of a forwarded request.
func describe(r *http.Request) Leg {
	leg := Leg{Method: r.Method, Target: requestTarget(r), GetBody: r.GetBody, HasBody: hasBody(r)}
	if leg.Method == "" {
		leg.Method = http.MethodGet
	}
	return leg
}

// requestTarget returns the request-target of a forwarded request as net/http
// writes it (RFC 9112, Section 3.2.2).
func requestTarget(r *http.Request) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	switch {
	case r.URL.Opaque != "" && r.Method == http.MethodConnect && r.URL.Path == "":
		return r.URL.Opaque
	case r.URL.Opaque != "":
		return r.URL.RequestURI()
	}
	if strings.ContainsFunc(host, func(c rune) bool { return c >= 0x80 || c == '%' }) {
		return writtenTarget(r.URL, host)
	}
	return r.URL.Scheme + "://" + host + r.URL.RequestURI()
}

// writtenTarget lets net/http write a request line: for hosts outside ASCII, of
// which it writes the punycode, and for ones with a zone.
func writtenTarget(u *url.URL, host string) string {
	var b bytes.Buffer
	r := &http.Request{Method: http.MethodGet, URL: u, Host: host, Header: make(http.Header)}
	if r.WriteProxy(&b) != nil {
		return "" // and neither can the request be sent
	}
	line, _, _ := strings.Cut(b.String(), " HTTP/1.1\r\n")
	return strings.TrimPrefix(line, "GET ")
}
