package proxyauth_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// oneLeg is a scheme that binds the connection with one token, which a proxy
// refuses by challenging without one.
type oneLeg struct{ proxyauth.Scheme }

func (oneLeg) Name() string { return "One" }

func (oneLeg) Properties() proxyauth.SchemeProperties {
	return proxyauth.SchemeProperties{BindsConnection: true}
}

func (oneLeg) Authorization(context.Context, proxyauth.Leg) (proxyauth.Authorization, error) {
	return proxyauth.Authorization{Value: "One token"}, nil
}

func (oneLeg) Continue(_ context.Context, challenges []proxyauth.Challenge) (proxyauth.Next, error) {
	if len(challenges) > 0 && challenges[0].Token68 != "" {
		return proxyauth.Broken, nil
	}
	return proxyauth.Refused, nil
}

const spliced = "Proxy-Authorization: One token\r\n"

// newBound returns both ends of a connection that is about to authenticate
// itself, as the first one to a proxy if leading is set.
func newBound(t *testing.T, leading bool) (*proxyauth.BoundConn, net.Conn) {
	client, proxy := testproxy.NewNetwork().Pipe()
	c := proxyauth.NewBoundConn(client, oneLeg{}, oneLeg{}, "One token", leading)
	t.Cleanup(func() { c.Close(); proxy.Close() })
	return c, proxy
}

// say writes all of s.
func say(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	n, err := io.WriteString(conn, s)
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

// hear requires that what can be read is want, and nothing more at present.
func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	got, err := io.ReadAll(conn)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, want, string(got))
	conn.SetReadDeadline(time.Time{})
}

// hearWhole requires that want comes before the end of the connection, whatever
// that is.
func hearWhole(t *testing.T, conn net.Conn, want string) error {
	t.Helper()
	got, err := io.ReadAll(iotest.OneByteReader(conn))
	require.Equal(t, want, string(got))
	return err
}

const (
	aGet  = "GET http://origin.example.com/ HTTP/1.1\r\nHost: origin.example.com\r\n\r\n"
	anOK  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	a407  = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: One\r\nContent-Length: 2\r\n\r\nno"
	over  = "Connection: close\r\n"
	early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
	cont  = "HTTP/1.1 100 Continue\r\n\r\n"
)

// with returns an answer with a line behind its status line.
func with(line, answer string) string {
	status, rest, _ := strings.Cut(answer, "\n")
	return status + "\n" + line + rest
}

func TestBoundConnWritesAuthorizationOnce(t *testing.T) {
	long := "GET http://origin.example.com/" + strings.Repeat("x", 9000) + " HTTP/1.1\r\nHost: origin.example.com\r\n\r\n"
	for _, tt := range []struct {
		desc    string
		request string
		size    int // of the writes
	}{
		{"one write", aGet, len(aGet)},
		{"tiny writes", aGet, 1},
		{"request line longer than net/http's buffer", long, 4096},
		{"write that ends with the request line", aGet, strings.Index(aGet, "\n") + 1},
		{"write that ends within the line end", aGet, strings.Index(aGet, "\n")},
	} {
		bubble(t, tt.desc, func(t *testing.T) {
			c, proxy := newBound(t, false)
			for rest := tt.request; rest != ""; {
				n := min(tt.size, len(rest))
				say(t, c, rest[:n])
				rest = rest[n:]
			}
			hear(t, proxy, with(spliced, tt.request))
			say(t, proxy, anOK)
			hear(t, c, anOK)
			say(t, c, tt.request)
			hear(t, proxy, tt.request)
		})
	}
}

// The first answer is examined before it is passed on, and so is every 407,
// however they come.
func TestBoundConnPassesAnswersOn(t *testing.T) {
	hint := strings.Repeat("HTTP/1.1 407 ", 3)
	for _, tt := range []struct {
		desc, answer, want string
		refused            bool // as a first answer
	}{
		{desc: "200", answer: anOK},
		{desc: "404", answer: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
		{desc: "no header", answer: "HTTP/1.1 204 No Content\r\n\r\n"},
		{desc: "line ends without CR", answer: "HTTP/1.1 200 OK\nContent-Length: 2\n\n\r\n\r\n"},
		{desc: "HTTP/1.0", answer: "HTTP/1.0 200 OK\r\n\r\nto the end"},
		{desc: "HTTP/1.0 407", answer: "HTTP/1.0 407 No\r\nProxy-Authenticate: One\r\n\r\nno",
			want: "HTTP/1.0 407 No\r\n" + over + "Proxy-Authenticate: One\r\n\r\nno", refused: true},
		{desc: "407", answer: a407, want: with(over, a407), refused: true},
		{desc: "407 without reason", answer: "HTTP/1.1 407\r\nProxy-Authenticate: One\r\n\r\n",
			want: "HTTP/1.1 407\r\n" + over + "Proxy-Authenticate: One\r\n\r\n", refused: true},
		{desc: "informational, then 200", answer: cont + early + early + anOK},
		{desc: "informational, then 407", answer: early + a407, want: early + with(over, a407), refused: true},
		{desc: "101", answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + a407},
		{desc: "header longer than a buffer", answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20000) + "\r\n\r\nbody"},
		{desc: "body like a 407", answer: "HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n" + hint},
		{desc: "garbage", answer: "HTTP/1.1 4x7 \r\n\r\n"},
		{desc: "garbage without end", answer: "no HTTP at all", want: "no HTTP at all"},
	} {
		want := tt.want
		if want == "" {
			want = tt.answer
		}
		for _, size := range []int{1, 7, len(tt.answer)} {
			if size == 1 && len(tt.answer) > 4096 {
				continue
			}
			for _, first := range []bool{true, false} {
				desc := tt.desc + ", later"
				if first {
					desc = tt.desc + ", first"
				}
				bubble(t, desc, func(t *testing.T) {
					c, proxy := newBound(t, first)
					say(t, c, aGet)
					if !first {
						say(t, proxy, anOK)
						hear(t, c, anOK)
						say(t, c, aGet)
					}
					go func() {
						for rest := tt.answer; rest != ""; {
							n := min(size, len(rest))
							io.WriteString(proxy, rest[:n])
							rest = rest[n:]
							synctest.Wait() // the other end has read it
						}
						io.CopyN(io.Discard, proxy, 1)
						proxy.Close()
					}()
					hearWhole(t, c, want)
					require.True(t, c.Landed())
					require.Equal(t, first && tt.refused, c.Refused())
				})
			}
		}
	}
}

// The answer to a request whose body is still on its way may come in pieces that
// look like a 407.
func TestBoundConnLeavesBodiesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, proxy := newBound(t, false)
		for range 2 {
			say(t, c, "POST http://origin.example.com/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
			say(t, proxy, "HTTP/1.1 200 OK\r\n\r\n")
			hear(t, c, "HTTP/1.1 200 OK\r\n\r\n")
			for range 3 {
				say(t, c, "1\r\nx\r\n")
				say(t, proxy, a407)
				hear(t, c, a407)
			}
		}
	})
}

// Whoever waits for a 100 before it sends the body gets it at once.
func TestBoundConnDoesNotHoldInformationalAnswersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, proxy := newBound(t, false)
		for range 2 {
			say(t, c, aGet)
			say(t, proxy, cont)
			hear(t, c, cont)
			say(t, proxy, early+"HTTP/1.")
			hear(t, c, early)
			say(t, proxy, "1 200 OK\r\n\r\n")
			hear(t, c, "HTTP/1.1 200 OK\r\n\r\n")
		}
	})
}

func TestBoundConnBoundsTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, proxy := newBound(t, true)
		say(t, c, aGet)
		go io.WriteString(proxy, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 2*proxyauth.MaxBoundHead))
		_, err := io.ReadAll(c)
		require.ErrorContains(t, err, "too long")
		require.True(t, c.Landed())
		require.False(t, c.Proved())
	})
}
