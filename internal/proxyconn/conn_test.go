package proxyconn_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestRequest is written as net/http writes it.
func TestRequest(t *testing.T) {
	const host = "CONNECT origin.example.com:443 HTTP/1.1\r\nHost: origin.example.com:443\r\n"
	for _, tt := range []struct {
		desc   string
		target string
		header http.Header
		want   string // empty: nothing is sent
	}{
		{"no header", target, nil, host + "User-Agent: Go-http-client/1.1\r\n\r\n"},
		{"header", target, http.Header{
			"User-Agent": {"me"}, "Proxy-Connection": {"keep-alive"}, "A": {"1", "2"}, "Proxy-Authorization": {"Basic eDp5"},
		}, host + "User-Agent: me\r\nA: 1\r\nA: 2\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\n\r\n"},
		{"framing is not sent", target, http.Header{
			"User-Agent": {""}, "Host": {"other"}, "Content-Length": {"3"}, "Transfer-Encoding": {"chunked"},
		}, host + "\r\n"},
		{"punycode", "bücher.example:443", http.Header{"User-Agent": {""}}, "CONNECT xn--bcher-kva.example:443 HTTP/1.1\r\nHost: xn--bcher-kva.example:443\r\n\r\n"},
		{"control in a value", target, http.Header{"A": {"ok", "x\r\nB: y"}}, ""},
		{"NUL in a value", target, http.Header{"A": {"x\x00"}}, ""},
		{"control in a name", target, http.Header{"A\nB": {"x"}}, ""},
		{"control in the target", "origin.example.com:443\r\nA: b", nil, ""},
		{"space in the target", "origin.example.com:443 HTTP/1.0", nil, ""},
		{"no target", "", nil, ""},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			client, server := testproxy.NewNetwork().Pipe()
			c := proxyconn.New(client, nil)
			if tt.want == "" {
				_, err := c.Connect(t.Context(), proxyconn.Leg{Target: tt.target, Header: tt.header})
				require.Error(t, err)
				require.Zero(t, c.Progress())
				require.True(t, c.Reusable(), "nothing was sent")
			} else {
				io.WriteString(server, an200)
				_, err := c.Connect(t.Context(), proxyconn.Leg{Target: tt.target, Header: tt.header})
				require.NoError(t, err)
			}
			require.NoError(t, c.Close())
			got, err := io.ReadAll(server)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
		})
	}
}

// TestLegs are made over one connection, up to the tunnel.
func TestLegs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, client := newPeer(t)
		for i := range 3 {
			require.True(t, c.Reusable())
			k := start(t.Context(), c, proxyconn.Leg{})
			p.wantRequest()
			p.send(a407)
			resp, err := k.wait()
			require.NoError(t, err)
			require.Equal(t, 407, resp.StatusCode)
			require.Equal(t, proxyconn.Progress{Reused: i > 0, Written: true, Read: true}, c.Progress())
		}
		k := start(t.Context(), c, proxyconn.Leg{})
		p.wantRequest()
		p.send(an200)
		_, err := k.wait()
		require.NoError(t, err)
		require.False(t, c.Reusable())
		_, err = c.Connect(t.Context(), proxyconn.Leg{Target: target})
		require.ErrorIs(t, err, proxyconn.ErrUnusable)
		require.Same(t, client, c.Tunnel())
		require.Nil(t, c.Tunnel())
		_, err = c.Connect(t.Context(), proxyconn.Leg{Target: target})
		require.ErrorIs(t, err, proxyconn.ErrUnusable)
	})
}

// TestIdleRace is told by Progress: the proxy closes a connection that it said it keeps.
func TestIdleRace(t *testing.T) {
	for _, reused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			if reused {
				k := start(t.Context(), c, proxyconn.Leg{})
				p.wantRequest()
				p.send(a407)
				k.wait()
			}
			k := start(t.Context(), c, proxyconn.Leg{})
			p.wantRequest()
			p.Close()
			_, err := k.wait()
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, proxyconn.Progress{Reused: reused, Written: true}, c.Progress())
		})
	}
}

// A brokenConn can't be written to, and has no deadlines.
type brokenConn struct {
	net.Conn
	writes int // bytes that are written nevertheless
}

var errWrite = errors.New("broken pipe")

func (c *brokenConn) Write(b []byte) (int, error) { return min(c.writes, len(b)), errWrite }

// TestAnswerToFailedWrite counts more than the failure.
func TestAnswerToFailedWrite(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		writes int
		answer string
		status int
	}{
		{"answered", 20, a407, 407},
		{"not answered", 20, "", 0},
		{"nothing written", 0, "", 0},
		{"a tunnel without its request", 20, an200, 0},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			client, server := testproxy.NewNetwork().Pipe()
			io.WriteString(server, tt.answer)
			server.(interface{ CloseWrite() error }).CloseWrite()
			c := proxyconn.New(&brokenConn{client, tt.writes}, nil)
			resp, err := c.Connect(t.Context(), proxyconn.Leg{Target: target})
			require.Equal(t, proxyconn.Progress{Written: tt.writes > 0, Read: tt.answer != ""}, c.Progress())
			require.False(t, c.Reusable())
			if tt.status == 0 {
				require.ErrorIs(t, err, errWrite)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.status, resp.StatusCode)
		})
	}
}

// A rigidConn has no deadlines.
type rigidConn struct{ net.Conn }

func (rigidConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (rigidConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (rigidConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// TestContextEndsLeg in every phase, at once and without deadlines. A refusal whose
// header has been read is returned nevertheless.
func TestContextEndsLeg(t *testing.T) {
	cause := errors.New("the caller left")
	for _, tt := range []struct {
		desc    string
		answer  string
		noRead  bool // the peer does not read
		refused bool
		before  bool // the context has ended before
	}{
		{desc: "before", before: true},
		{desc: "writing", noRead: true},
		{desc: "no answer"},
		{desc: "start of the status line", answer: "HTT"},
		{desc: "header", answer: "HTTP/1.1 407 No\r\nA: b"},
		{desc: "informational", answer: cont},
		{desc: "body", answer: "HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\nno", refused: true},
		{desc: "chunked body", answer: "HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nno", refused: true},
		{desc: "body without length", answer: endless + "no", refused: true},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(tt.desc+map[bool]string{true: ", TLS"}[secure], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, server := net.Pipe()
					defer server.Close()
					var conn net.Conn = rigidConn{client}
					if secure {
						conn, server = secured(t, conn, server)
					}
					c := proxyconn.New(conn, nil)
					ctx, cancel := context.WithCancelCause(t.Context())
					if tt.before {
						cancel(cause)
					}
					k := start(ctx, c, proxyconn.Leg{Bound: bound})
					if !tt.noRead && !tt.before {
						(&peer{t: t, Conn: server, br: bufio.NewReader(server)}).wantRequest()
						io.WriteString(server, tt.answer)
					}
					synctest.Wait()
					began := time.Now()
					cancel(cause)
					resp, err := k.wait()
					require.Zero(t, time.Since(began))
					require.False(t, c.Reusable())
					_, writeErr := client.Write([]byte("x"))
					require.ErrorIs(t, writeErr, io.ErrClosedPipe)
					require.Equal(t, !tt.before && !tt.noRead, c.Progress().Written)
					if !tt.refused {
						require.Nil(t, resp)
						require.Same(t, cause, err)
						return
					}
					require.NoError(t, err)
					require.Equal(t, 407, resp.StatusCode)
					body, err := io.ReadAll(resp.Body)
					require.Equal(t, "no", string(body))
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				})
			})
		}
	}
}

// A pokedConn calls a function before it reads and before it writes.
type pokedConn struct {
	*pieceConn
	read, write func()
}

func (c *pokedConn) Read(b []byte) (int, error) {
	c.read()
	return c.pieceConn.Read(b)
}

func (c *pokedConn) Write(b []byte) (int, error) {
	c.write()
	return c.pieceConn.Write(b)
}

func (c *pokedConn) Close() error { return nil } // comes too late

// TestContextEndsWithAnswer in the same moment: a tunnel whose connection is being
// closed is not handed over, and a refusal's connection is not used again.
func TestContextEndsWithAnswer(t *testing.T) {
	for _, answer := range []string{an200, a407} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			c := proxyconn.New(&pokedConn{&pieceConn{text: answer}, cancel, func() {}}, nil)
			resp, err := c.Connect(ctx, proxyconn.Leg{Target: target})
			require.False(t, c.Reusable())
			require.Nil(t, c.Tunnel())
			if answer == an200 {
				require.Nil(t, resp)
				require.ErrorIs(t, err, context.Canceled)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 407, resp.StatusCode)
		})
	}
}

// TestNothingIsSentAfterContext has ended.
func TestNothingIsSentAfterContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	written := false
	c := proxyconn.New(&pokedConn{&pieceConn{text: an200}, func() {}, func() { written = true }}, nil)
	_, err := c.Connect(ctx, proxyconn.Leg{Target: target})
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, written)
	require.False(t, c.Reusable())
}

// secured returns both ends with TLS.
func secured(t *testing.T, client, server net.Conn) (*tls.Conn, *tls.Conn) {
	const host = "proxy.example.com"
	cfg := ca().ClientConfig()
	cfg.ServerName = host
	c, s := tls.Client(client, cfg), tls.Server(server, ca().ServerConfig(host))
	errs := make(chan error, 1)
	go func() { errs <- s.HandshakeContext(t.Context()) }()
	// What the server sends behind the handshake is read with the first data.
	require.NoError(t, c.HandshakeContext(t.Context()))
	t.Cleanup(func() { client.Close(); server.Close() })
	return c, s
}

// TestClosedDuringLeg ends it.
func TestClosedDuringLeg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := newPeer(t)
		k := start(t.Context(), c, proxyconn.Leg{})
		p.wantRequest()
		require.NoError(t, c.Close())
		_, err := k.wait()
		require.ErrorIs(t, err, net.ErrClosed)
		require.False(t, c.Reusable())
	})
}

// TestUntouchedAfterHandOver by contexts and timers of the legs before.
func TestUntouchedAfterHandOver(t *testing.T) {
	for _, early := range []string{"", "220 ready\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			for _, answer := range []string{endless, a407, an200 + early} {
				k := start(ctx, c, proxyconn.Leg{Bound: bound})
				p.wantRequest()
				p.send(answer)
				_, err := k.wait()
				require.NoError(t, err)
			}
			conn := c.Tunnel()
			cancel()
			time.Sleep(time.Hour)
			require.NoError(t, c.Close())
			p.send("later")
			b := make([]byte, len(early)+len("later"))
			_, err := io.ReadFull(conn, b)
			require.NoError(t, err)
			require.Equal(t, early+"later", string(b))
			require.NoError(t, conn.Close())
		})
	}
}
