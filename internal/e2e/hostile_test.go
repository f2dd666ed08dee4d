package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A hostile proxy answers each request with what a func writes, and verifies
// nothing. It remembers what it is sent.
type hostile struct {
	greet  func(conn net.Conn)                                // before the first request, or nil
	answer func(conn net.Conn, n int, req *http.Request) bool // of all requests the n-th; false closes conn

	received atomic.Int64 // bytes that the client has read

	mu    sync.Mutex
	conns int
	open  int
	legs  []*http.Request
	sent  int64 // bytes of the requests' heads
}

// newHostileLab returns a lab whose proxy is hostile.
func newHostileLab(t testing.TB, h *hostile) *lab {
	l := newLab(t, testproxy.Config{})
	l.rt.LegTimeout = legLimit
	l.base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		client, server := l.network.Pipe()
		h.mu.Lock()
		h.conns++
		h.open++
		h.mu.Unlock()
		go h.serve(server)
		return &meteredConn{client, &h.received}, nil
	}
	return l
}

func (h *hostile) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		h.mu.Lock()
		h.open--
		h.mu.Unlock()
	}()
	if h.greet != nil {
		h.greet(conn)
	}
	br := bufio.NewReaderSize(conn, 16<<10)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.legs = append(h.legs, req)
		for name, values := range req.Header {
			h.sent += int64(len(name) + len(strings.Join(values, "")))
		}
		n := len(h.legs)
		h.mu.Unlock()
		if req.Method != http.MethodConnect {
			io.Copy(io.Discard, req.Body)
		}
		if !h.answer(conn, n, req) {
			return
		}
	}
}

// authorizations returns what the proxy was sent in Proxy-Authorization.
func (h *hostile) authorizations() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, req := range h.legs {
		if v := req.Header.Get("Proxy-Authorization"); v != "" {
			all = append(all, v)
		}
	}
	return all
}

// proofs returns how many of them tell something of the password.
func (h *hostile) proofs() (n int) {
	for _, v := range h.authorizations() {
		if !strings.HasPrefix(v, negotiateToken) {
			n++
		}
	}
	return n
}

// requireLeft requires the client to have closed all of its connections.
func (h *hostile) requireLeft(l *lab) {
	l.t.Helper()
	l.rt.CloseIdleConnections()
	time.Sleep(2 * time.Second) // who drips notices with the next byte
	synctest.Wait()
	require.Zero(l.t, h.open, "connections left open")
}

const legLimit = 20 * time.Second

// drip writes head, and then text for ever, one byte a second.
func drip(conn net.Conn, head, text string) bool {
	if _, err := io.WriteString(conn, head); err != nil {
		return false
	}
	for i := 0; ; i++ {
		time.Sleep(time.Second)
		if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
			return false
		}
	}
}

// challengeWith writes a 407 and keeps the connection.
func challengeWith(conn net.Conn, lines ...string) bool {
	var head strings.Builder
	head.WriteString("HTTP/1.1 407 No\r\nContent-Length: 2\r\n")
	for _, line := range lines {
		head.WriteString("Proxy-Authenticate: " + line + "\r\n")
	}
	_, err := io.WriteString(conn, head.String()+"\r\nno")
	return err == nil
}

func pass(conn net.Conn) bool {
	_, err := io.WriteString(conn, anOK)
	return err == nil
}

// operations are what a Transport does at a proxy, with an hour for it.
var operations = []struct {
	desc string
	do   func(ctx context.Context, l *lab) error
}{
	{"GET", func(ctx context.Context, l *lab) error { return fetch(ctx, l.rt, originHost) }},
	{"POST", func(ctx context.Context, l *lab) error {
		resp, _, err := l.do(l.request(http.MethodPost, httpOrigin, unreplayable("body")).WithContext(ctx))
		if e := explained(resp); err == nil && e != nil {
			return e
		}
		return err
	}},
	{"CONNECT", func(ctx context.Context, l *lab) error { return tunnel(ctx, l.rt, originHost) }},
}

// TestHostileProxy lets a proxy try to keep a request for ever, or to have the
// password proved again and again.
func TestHostileProxy(t *testing.T) {
	t.Parallel()
	nonce := func(n int, more string) string {
		return fmt.Sprintf(`Digest realm="lab", nonce="%d", qop="auth"%s`, n, more)
	}
	for _, tt := range []struct {
		desc   string
		answer func(conn net.Conn, n int, req *http.Request) bool

		took   time.Duration // of the legs that the Transport adds
		waits  bool          // a GET ends when its caller says so, since it is the caller's
		passes bool          // in the end
		legs   int           // at most, as are proofs
		proofs int
	}{
		{desc: "header, a byte a second", took: legLimit, waits: true, legs: 1, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return drip(conn, "HTTP/1.1 407 No\r\nProxy-Authenticate: ", "Basic ")
		}},
		{desc: "header fields, for ever", took: legLimit, waits: true, legs: 1, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return drip(conn, "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n", "A:\r\n")
		}},
		{desc: "informational answers, slowly", took: legLimit, waits: true, legs: 1, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return drip(conn, "", cont)
		}},
		{desc: "body, a byte a second", took: drainPatience, passes: true, legs: 3, proofs: 1, answer: func(conn net.Conn, n int, req *http.Request) bool {
			if n > 1 {
				return pass(conn)
			}
			return drip(conn, "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 100000\r\n\r\n", "no ")
		}},
		{desc: "stale for ever", legs: 3, proofs: 2, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return challengeWith(conn, nonce(n, ", stale=true"))
		}},
		{desc: "alternating realms", legs: 2, proofs: 1, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return challengeWith(conn, fmt.Sprintf(`Basic realm="%d"`, n))
		}},
		{desc: "alternating schemes", legs: 2 * maxLegs, proofs: 1, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return challengeWith(conn, []string{nonce(n, ""), "Basic realm=lab", "NTLM"}[n%3])
		}},
		{desc: "ever stronger schemes", legs: 2 * maxLegs, proofs: 2, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return challengeWith(conn, []string{"Basic realm=lab", nonce(n, ", stale=true"), nonce(n, ", stale=true, algorithm=SHA-256"), "NTLM"}[n%4])
		}},
		{desc: "NTLM challenge message for ever", took: 2 * leftPause, legs: 7, proofs: maxBroken, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return challengeWith(conn, "NTLM "+type2)
		}},
		{desc: "NTLM, forgotten", legs: 1 + maxBroken, answer: func(conn net.Conn, n int, req *http.Request) bool {
			return challengeWith(conn, "NTLM")
		}},
		{desc: "NTLM, a byte a second", took: maxBroken * legLimit, legs: 1 + maxBroken, answer: func(conn net.Conn, n int, req *http.Request) bool {
			if n == 1 {
				return challengeWith(conn, "NTLM")
			}
			return drip(conn, "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM ", type2)
		}},
	} {
		for _, op := range operations {
			bubble(t, tt.desc+", "+op.desc, func(t *testing.T) {
				h := &hostile{answer: tt.answer}
				l := newHostileLab(t, h)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				err := op.do(ctx, l)
				took := time.Since(start)
				h.requireLeft(l)
				if tt.passes {
					require.NoError(t, err)
					require.LessOrEqual(t, took, tt.took)
				} else if tt.waits && op.desc == http.MethodGet {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, time.Hour, took)
				} else {
					e, ok := errors.AsType[*proxyauth.Error](err)
					require.True(t, ok, "%v", err)
					require.LessOrEqual(t, took, tt.took, "%v", e)
				}
				require.LessOrEqual(t, len(h.legs), tt.legs, "legs")
				require.LessOrEqual(t, h.conns, 2*maxLegs, "connections")
				require.LessOrEqual(t, h.proofs(), tt.proofs, "proofs")
				require.Less(t, h.sent, int64(8<<10), "bytes sent")
				require.Less(t, h.received.Load(), int64(8<<10), "bytes received")
			})
		}
	}
}
