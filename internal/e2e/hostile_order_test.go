package e2e_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// closeWrite closes conn towards the client, which may go on writing.
func closeWrite(conn net.Conn) bool {
	return conn.(interface{ CloseWrite() error }).CloseWrite() == nil
}

func reset(conn net.Conn) bool {
	conn.(interface{ SetLinger(int) error }).SetLinger(0)
	return false
}

func write(conn net.Conn, text string) bool {
	_, err := io.WriteString(conn, text)
	return err == nil
}

// TestHostileOrder lets a proxy close halfway, reset, answer before it is asked,
// and send more than it was asked for.
func TestHostileOrder(t *testing.T) {
	t.Parallel()
	log.SetOutput(io.Discard) // net/http logs what comes unasked
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	const (
		asks    = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=lab\r\nContent-Length: 2\r\n\r\nno"
		evil    = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
		garbage = "\x00\x01garbage\r\n\r\n"
	)
	const maybe, passes, fails = 1, 2, 3
	// once does something with the first request, and lets the others pass if
	// they carry an authorization.
	once := func(first func(conn net.Conn) bool) func(net.Conn, int, *http.Request) bool {
		return func(conn net.Conn, n int, req *http.Request) bool {
			switch {
			case n == 1:
				return first(conn)
			case req.Header.Get("Proxy-Authorization") == "":
				return write(conn, asks)
			}
			return pass(conn)
		}
	}
	always := func(do func(conn net.Conn) bool) func(net.Conn, int, *http.Request) bool {
		return func(conn net.Conn, _ int, _ *http.Request) bool { return do(conn) }
	}
	orderly := once(func(conn net.Conn) bool { return write(conn, asks) })
	for _, tt := range []struct {
		desc   string
		greet  func(conn net.Conn)
		answer func(conn net.Conn, n int, req *http.Request) bool
		want   int
		tunnel int // for CONNECT, if not the same
		post   int // for POST, which net/http does not send again over another connection, if not the same
		conns  int // at most
	}{
		{desc: "half-closed after the challenge", answer: once(func(conn net.Conn) bool { return write(conn, asks) && closeWrite(conn) }), want: passes, post: maybe, conns: 2},
		{desc: "half-closed instead of an answer", answer: always(closeWrite), want: fails, conns: 2},
		{desc: "half-closed in the header", answer: always(func(conn net.Conn) bool { return write(conn, asks[:40]) && closeWrite(conn) }), want: fails, conns: 2},
		{desc: "half-closed before the request", greet: func(conn net.Conn) { closeWrite(conn) }, answer: orderly, want: fails, conns: 2},
		{desc: "reset at once", greet: func(conn net.Conn) { reset(conn); conn.Close() }, answer: orderly, want: fails, conns: 2},
		{desc: "reset instead of an answer", answer: always(reset), want: fails, conns: 2},
		{desc: "reset after the challenge", answer: once(func(conn net.Conn) bool { return write(conn, asks) && reset(conn) }), want: maybe, conns: 3},
		{desc: "reset after each challenge", answer: always(func(conn net.Conn) bool { return write(conn, asks) && reset(conn) }), want: fails, conns: 4},

		{desc: "407 before the request", greet: func(conn net.Conn) { write(conn, asks) }, answer: orderly, want: maybe, conns: 6},
		{desc: "200 before the request", greet: func(conn net.Conn) { write(conn, anOK) }, answer: orderly, want: maybe, conns: 6},
		{desc: "garbage before the request", greet: func(conn net.Conn) { write(conn, garbage) }, answer: orderly, want: fails, conns: 6},
		{desc: "endless answers before the request", greet: func(conn net.Conn) { forever(conn, "", asks) }, answer: orderly, want: fails, conns: 6},

		{desc: "garbage behind the challenge", answer: once(func(conn net.Conn) bool { return write(conn, asks+garbage) }), want: maybe, tunnel: passes, conns: 2},
		{desc: "an answer behind the challenge", answer: once(func(conn net.Conn) bool { return write(conn, asks+evil) }), want: maybe, tunnel: passes, conns: 2},
		{desc: "another challenge behind it", answer: once(func(conn net.Conn) bool { return write(conn, asks+asks) }), want: maybe, tunnel: passes, conns: 2},
		{desc: "garbage behind each challenge", answer: always(func(conn net.Conn) bool { return write(conn, asks+garbage) }), want: fails, conns: 3},
	} {
		for _, op := range operations {
			bubble(t, tt.desc+", "+op.desc, func(t *testing.T) {
				h := &hostile{greet: tt.greet, answer: tt.answer}
				l := newHostileLab(t, h)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				err := op.do(ctx, l)
				require.Zero(t, time.Since(start))
				h.requireLeft(l)
				want := tt.want
				switch {
				case op.desc == http.MethodConnect && tt.tunnel != 0:
					want = tt.tunnel
				case op.desc == http.MethodPost && tt.post != 0:
					want = tt.post
				}
				switch _, ok := errors.AsType[*proxyauth.Error](err); want {
				case passes:
					require.NoError(t, err)
				case fails:
					require.Error(t, err)
					require.True(t, ok || op.desc != http.MethodConnect, "%v", err) // net/http has words of its own
				}
				require.LessOrEqual(t, h.conns, tt.conns, "connections")
				require.LessOrEqual(t, len(h.legs), 4, "legs")
				require.LessOrEqual(t, h.proofs(), 2, "proofs")
			})
		}
	}
}

// TestHalfClosedTunnel leaves the direction open that is not closed.
func TestHalfClosedTunnel(t *testing.T) {
	t.Parallel()
	bubble(t, "by the target", func(t *testing.T) {
		got := make(chan string, 1)
		h := &hostile{answer: func(conn net.Conn, _ int, _ *http.Request) bool {
			if !write(conn, "HTTP/1.1 200 OK\r\n\r\nbye") || !closeWrite(conn) {
				return false
			}
			text, _ := io.ReadAll(conn)
			got <- string(text)
			return false
		}}
		l := newHostileLab(t, h)
		conn, err := l.rt.DialContext(t.Context(), "tcp", echoAddr)
		require.NoError(t, err)
		text, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "bye", string(text))
		require.True(t, write(conn, strings.Repeat("still here ", 10)))
		require.NoError(t, conn.Close())
		require.Equal(t, strings.Repeat("still here ", 10), <-got)
		h.requireLeft(l)
	})
}
