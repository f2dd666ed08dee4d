package e2e_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// forever writes head, and then text until the client has had enough.
func forever(conn net.Conn, head, text string) bool {
	_, err := io.WriteString(conn, head)
	for err == nil {
		_, err = io.WriteString(conn, text)
	}
	return false
}

// allocated returns how many bytes are allocated while f runs, freed or not.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestHostileSizes sends much of everything. What is read, kept and sent back in
// return has a bound.
func TestHostileSizes(t *testing.T) {
	const (
		headLimit = 1 << 20 // of Base
		ask       = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=lab\r\n"
	)
	kilobyte := strings.Repeat("x", 1<<10)
	then := func(first func(conn net.Conn) bool) func(net.Conn, int, *http.Request) bool {
		return func(conn net.Conn, n int, req *http.Request) bool {
			if n > 1 {
				return pass(conn)
			}
			return first(conn)
		}
	}
	for _, tt := range []struct {
		desc   string
		answer func(conn net.Conn, n int, req *http.Request) bool
		passes bool

		received, sent, allocated int64 // bytes at most
	}{
		{
			desc:     "endless status line",
			answer:   then(func(conn net.Conn) bool { return forever(conn, "HTTP/1.1 407 ", kilobyte) }),
			received: headLimit + 128<<10, allocated: 32 << 20,
		}, {
			desc:     "endless header",
			answer:   then(func(conn net.Conn) bool { return forever(conn, ask, "A: "+kilobyte+"\r\n") }),
			received: headLimit + 128<<10, allocated: 32 << 20,
		}, {
			desc:     "a million challenges, and more",
			answer:   then(func(conn net.Conn) bool { return forever(conn, ask, "Proxy-Authenticate: Basic\r\n") }),
			received: headLimit + 128<<10, allocated: 32 << 20,
		}, {
			desc:     "informational answers",
			answer:   then(func(conn net.Conn) bool { return forever(conn, "", early) }),
			received: headLimit + 128<<10, allocated: 32 << 20,
		}, {
			desc: "as many challenges as fit",
			answer: then(func(conn net.Conn) bool {
				return challengeWith(conn, strings.Repeat("a,", 200<<10), "Basic realm=lab")
			}),
			passes: true, received: headLimit, allocated: 12 << 20, // that of a CONNECT is parsed twice
		}, {
			desc:   "endless body",
			answer: then(func(conn net.Conn) bool { return forever(conn, ask+"Content-Length: 99999999999\r\n\r\n", kilobyte) }),
			passes: true, received: 1 << 20, allocated: 4 << 20,
		}, {
			desc: "endless chunk",
			answer: then(func(conn net.Conn) bool {
				return forever(conn, ask+"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", kilobyte)
			}),
			passes: true, received: 1 << 20, allocated: 4 << 20,
		}, {
			desc:   "endless chunk extension",
			answer: then(func(conn net.Conn) bool { return forever(conn, ask+"Transfer-Encoding: chunked\r\n\r\n1;a=", kilobyte) }),
			passes: true, received: 1 << 20, allocated: 4 << 20,
		}, {
			desc: "64 KiB nonce and 60 KiB realm",
			answer: then(func(conn net.Conn) bool {
				return challengeWith(conn, `Digest nonce="`+strings.Repeat(kilobyte, 64)+`", realm="`+strings.Repeat(kilobyte, 60)+`", qop=auth`)
			}),
			passes: true, received: headLimit, sent: 128 << 10, allocated: 8 << 20,
		}, {
			desc: "64 KiB of backslashes",
			answer: then(func(conn net.Conn) bool {
				return challengeWith(conn, `Digest nonce="`+strings.Repeat(`\\`, 32<<10)+`", realm="lab", qop=auth`)
			}),
			passes: true, received: headLimit, sent: 128 << 10, allocated: 8 << 20,
		}, {
			desc: "128 KiB opaque",
			answer: then(func(conn net.Conn) bool {
				return challengeWith(conn, `Digest nonce="n", realm="lab", qop=auth, opaque="`+strings.Repeat(kilobyte, 128)+`"`)
			}),
			received: headLimit, allocated: 8 << 20,
		}, {
			desc: "64 KiB challenge message",
			answer: func(conn net.Conn, n int, _ *http.Request) bool {
				if n == 1 {
					return challengeWith(conn, "NTLM")
				}
				message := "NTLMSSP\x00\x02\x00\x00\x00" + strings.Repeat("\xff", 64<<10)
				return challengeWith(conn, "NTLM "+base64.StdEncoding.EncodeToString([]byte(message)))
			},
			received: headLimit, allocated: 8 << 20,
		},
	} {
		for _, op := range operations {
			bubble(t, tt.desc+", "+op.desc, func(t *testing.T) {
				h := &hostile{answer: tt.answer}
				l := newHostileLab(t, h)
				l.base.MaxResponseHeaderBytes = headLimit
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				var err error
				n := allocated(func() { err = op.do(ctx, l) })
				require.LessOrEqual(t, time.Since(start), drainPatience)
				h.requireLeft(l)
				e, ok := errors.AsType[*proxyauth.Error](err)
				switch {
				case tt.passes:
					require.NoError(t, err)
				case ok:
					require.Less(t, len(e.Error()), 4<<10)
				case op.desc == http.MethodGet:
					require.Error(t, err)
				default:
					require.NoError(t, err, "an Error")
				}
				require.LessOrEqual(t, len(h.legs), 4, "legs")
				require.LessOrEqual(t, h.received.Load(), tt.received, "bytes received")
				require.LessOrEqual(t, h.sent, max(tt.sent, 8<<10), "bytes sent")
				require.LessOrEqual(t, n, tt.allocated, "bytes allocated")
			})
		}
	}
}
