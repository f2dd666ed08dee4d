package e2e_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// A randomScript is what a program, an origin server and what is between them do, one request
// after the other. It follows from its seed.
type randomScript struct {
	*rand.Rand
	tunnel   bool // the URLs are https://
	http2    bool // and the origin server speaks HTTP/2
	tlsProxy bool
	client   bool // the requests are made by an http.Client
	idle     bool // there is an idle connection at first
	settings []func(*http.Transport)
	steps    []scriptStep
}

// A scriptStep is one request and what answers it, also where it is redirected.
type scriptStep struct {
	method, target string
	changes        []func(*http.Request)
	body           func() (io.ReadCloser, error) // nil for none
	length         int64
	again          bool // body can be had again
	limit          func(context.Context) (context.Context, context.CancelFunc)
	read           func(io.ReadCloser) (n int64, err error)
	pause          time.Duration // before the next one
	answer         scriptAnswer
}

// A scriptAnswer is what the proxy sends, or the origin server in a tunnel.
type scriptAnswer struct {
	text  string
	piece int    // how much of it is sent at once; 0 means all
	after string // what becomes of the connection: kept, closed, reset or silent
	later string // what is sent on the idle connection, or closed

	events []http2Event // over HTTP/2, in place of all that
}

var errScript = errors.New("the body can't be read")

// choose returns one of the choices: the first in most cases.
func choose[T any](s *randomScript, usual T, others ...T) T {
	if n := s.IntN(3 * len(others)); n < len(others) {
		return others[n]
	}
	return usual
}

func (s *randomScript) oneIn(n int) bool { return s.IntN(n) == 0 }

func newScript(seed uint64) *randomScript {
	s := &randomScript{Rand: rand.New(rand.NewPCG(seed, 0))}
	s.tunnel, s.tlsProxy, s.client, s.idle = s.oneIn(4), s.oneIn(8), s.oneIn(3), s.oneIn(2)
	nothing := func(*http.Transport) {}
	// No two things take the same time, lest they have no order.
	for range 2 {
		s.settings = append(s.settings, choose(s, nothing,
			func(t *http.Transport) { t.DisableCompression = true },
			func(t *http.Transport) { t.MaxIdleConnsPerHost = -1 },
			func(t *http.Transport) { t.MaxConnsPerHost = 1 },
			func(t *http.Transport) { t.IdleConnTimeout = 100*time.Millisecond + 3 },
			func(t *http.Transport) { t.ResponseHeaderTimeout = 50*time.Millisecond + 5 },
			func(t *http.Transport) { t.MaxResponseHeaderBytes = 2000 },
			func(t *http.Transport) { t.ReadBufferSize, t.WriteBufferSize = 16, 16 },
		))
	}
	for range 1 + s.IntN(4) {
		s.steps = append(s.steps, s.newStep())
	}
	if s.http2 = s.tunnel && s.oneIn(2); s.http2 {
		for i := range s.steps {
			s.steps[i].answer.events = s.newHTTP2Answer(s.steps[i].method)
		}
	}
	return s
}

func (s *randomScript) newStep() scriptStep {
	step := scriptStep{
		method: choose(s, http.MethodGet, http.MethodPost, http.MethodPost, http.MethodPut, http.MethodHead, http.MethodOptions, "PURGE", ""),
		target: choose(s, "/", "", "?a=b", "/%2F%41//x/?", "/"+strings.Repeat("long", 2000)),
		limit:  func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) },
		read:   func(body io.ReadCloser) (int64, error) { return io.Copy(io.Discard, body) },
		pause:  choose(s, 0, 20*time.Millisecond+7, time.Second),
	}
	for range 2 {
		step.changes = append(step.changes, s.newChange())
	}
	if step.method == http.MethodPost || step.method == http.MethodPut {
		s.newBody(&step)
	}
	if s.oneIn(6) {
		after := choose(s, 500*time.Microsecond+11, 3*time.Millisecond+13, time.Second+17)
		step.limit = func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, after)
		}
	}
	if s.oneIn(4) {
		part := int64(choose(s, 0, 1, 10))
		step.read = func(body io.ReadCloser) (int64, error) { return io.CopyN(io.Discard, body, part) }
	}
	step.answer = s.newAnswer(step.method)
	return step
}

// newChange returns something that is unusual of a request.
func (s *randomScript) newChange() func(*http.Request) {
	field := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	return choose(s, func(*http.Request) {},
		func(r *http.Request) { r.Close = true },
		func(r *http.Request) { r.Host = "other.example.com:81" },
		field("Accept-Encoding", "gzip"), field("Range", "bytes=0-1"), field("User-Agent", ""), field("User-Agent", "test"),
		field("Connection", "close"), field("Proxy-Connection", "close"), field("Te", "trailers"), field("Upgrade", "echo"),
		field("lower", "a", " b "), field("Host", "ignored"), field("Content-Length", "99"), field("X-None"), field("Expect", "100-continue"),
		field("Authorization", "Basic b3JpZ2lu"), field("Cookie", "a=b"), field("Idempotency-Key", "1"), field("Long", strings.Repeat("a", 5000)),
	)
}

func (s *randomScript) newBody(step *scriptStep) {
	size := choose(s, 10, 1, 5000, 70_000)
	text := strings.Repeat("b", size)
	step.length, step.again = int64(size), s.oneIn(2)
	var end io.Reader = strings.NewReader("")
	switch s.IntN(8) {
	case 0:
		step.length, step.again = -1, false
	case 1:
		step.length, step.again = -1, false
		trailer := http.Header{"Checksum": {"1"}}
		step.changes = append(step.changes, func(r *http.Request) { r.Trailer = trailer })
	case 2:
		end, step.again = failingReader{}, false
		step.length = choose(s, -1, step.length+5)
	case 3:
		step.length += 5 // it is shorter
	}
	step.body = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(text), end)), nil
	}
	if s.oneIn(3) {
		step.changes = append(step.changes, func(r *http.Request) { r.Header["Expect"] = []string{"100-continue"} })
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errScript }

func (s *randomScript) newAnswer(method string) scriptAnswer {
	a := scriptAnswer{piece: choose(s, 0, 1, 100)}
	status := choose(s, 200, 204, 206, 304, 302, 303, 307, 401, 403, 408, 500, 502, 101)
	head := fmt.Sprintf("%s %d %s\r\n", choose(s, "HTTP/1.1", "HTTP/1.0"), status, choose(s, "Reason", ""))
	head += choose(s, "", "Connection: close\r\n", "Connection: keep-alive\r\n", "Set-Cookie: c=d\r\n", "Folded: a\r\n b\r\n", "lower: \xe4\r\n", "Bad Name: v\r\n", "Long: "+strings.Repeat("a", 3000)+"\r\n")
	switch status {
	case 302, 303, 307:
		head += "Location: " + choose(s, "/next", "", "http://origin.example.com/") + "\r\n"
	case 101:
		head += "Upgrade: echo\r\nConnection: Upgrade\r\n"
	}
	body := strings.Repeat("body ", choose(s, 5, 0, 2000))
	if s.oneIn(8) {
		head, body = head+"Content-Encoding: gzip\r\n", choose(s, zipped(body), body)
	}
	framing, body, after := s.frame(body)
	if a.after = after; s.oneIn(12) {
		a.after = choose(s, "closed", "reset", "silent")
	}
	if method == http.MethodHead || status/100 == 1 || status == 204 || status == 304 {
		body = ""
	}
	a.text = choose(s, "", cont, early, early+early) + head + framing + "\r\n" + body
	if s.oneIn(20) {
		a.text, a.after = choose(s, "", "garbage", "HTTP/1.1", a.text[:s.IntN(len(a.text))]), choose(s, "closed", "reset")
	}
	if s.oneIn(10) {
		a.later = choose(s, "closed", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", anOK)
	}
	return a
}

// frame returns a body as it is sent, with what the header says of it.
func (s *randomScript) frame(body string) (head, framed, after string) {
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	const chunked = "Transfer-Encoding: chunked\r\n"
	chunk := fmt.Sprintf("%x%s\r\n%s\r\n", len(body), choose(s, "", ";a=b"), body)
	if body == "" {
		chunk = ""
	}
	switch s.IntN(20) {
	case 0, 1, 2, 3:
		return chunked, chunk + "0\r\n\r\n", "kept"
	case 4:
		return chunked + "Trailer: Checksum\r\n", chunk + "0\r\nChecksum: 1\r\nOther: 2\r\n\r\n", "kept"
	case 5:
		return chunked, chunk + choose(s, "", "garbage\r\n", "0\r\nBad Name: v\r\n\r\n"), choose(s, "closed", "reset", "silent")
	case 6:
		return "", body, choose(s, "closed", "reset", "silent")
	case 7:
		return fmt.Sprintf("Content-Length: %d\r\n", len(body)+1), body, choose(s, "closed", "reset", "silent")
	case 8:
		return choose(s, length+length, length+"Content-Length: 1\r\n", "Content-Length: -1\r\n", "Transfer-Encoding: unknown\r\n"), body, "kept"
	}
	return length, body, "kept"
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}
