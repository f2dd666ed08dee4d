package proxyconn_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

const (
	kept      = 256 << 10
	maxRead   = 512 << 10
	bodyTime  = 5 * time.Second
	quietTime = 100 * time.Millisecond
)

const (
	cont  = "HTTP/1.1 100 Continue\r\n\r\n"
	a407  = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\nContent-Length: 2\r\n\r\nno"
	an200 = "HTTP/1.1 200 Connection established\r\n\r\n"
	// endless has no length, and the connection is left open.
	endless = "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM TlRMTVNTUAACAAAA\r\n\r\n"
)

// An answer is what a proxy sends, and what becomes of it. The connection stays open
// unless close is set.
type answer struct {
	desc     string
	text     string
	close    bool
	status   int
	body     string
	cut      bool // the body does not pass for whole
	reusable bool
	tunnel   string // what is read from the tunnel
}

var answers = []answer{
	{desc: "squid's success", text: an200, status: 200},
	{desc: "Apache's success", text: "HTTP/1.0 200 Connection Established\r\nProxy-agent: Apache\r\n\r\n", status: 200},
	{desc: "bare line feeds", text: "HTTP/1.1 200 OK\n\n", status: 200},
	{desc: "no reason phrase", text: "HTTP/1.1 200\r\n\r\n", status: 200},
	{desc: "blank reason phrase", text: "HTTP/1.1 200 \r\n\r\n", status: 200},
	{desc: "any 2xx", text: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
	{desc: "the last 2xx", text: "HTTP/1.1 299 Fine\r\n\r\n", status: 299},
	{desc: "success with early bytes", text: an200 + "220 ready\r\n", status: 200, tunnel: "220 ready\r\n"},
	{desc: "success with length", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", status: 200, tunnel: "hello"},
	{desc: "success with a length that can't be parsed", text: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", status: 200, tunnel: "hello"},
	{desc: "success with two lengths", text: "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nContent-Length: 2\r\n\r\nhello", status: 200, tunnel: "hello"},
	{desc: "success with a folded length", text: "HTTP/1.1 200 OK\r\nContent-Length:\r\n x\r\nVia: p\r\n\r\nhello", status: 200, tunnel: "hello"},
	{desc: "success, chunked", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", status: 200, tunnel: "zz"},
	{desc: "success with an unknown coding", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, \x01\r\n\r\nzz", status: 200, tunnel: "zz"},
	{desc: "success with close", text: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", status: 200},
	{desc: "squid's 407", text: "HTTP/1.1 407 No\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n<p>", status: 407, body: "<p>", reusable: true},
	{desc: "Apache's 407", text: a407, status: 407, body: "no", reusable: true},
	{desc: "squid's first 407 with keep_alive off", text: "HTTP/1.1 407 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", status: 407, body: "no"},
	{desc: "close among other options", text: "HTTP/1.1 407 No\r\nConnection: proxy-support, CLOSE\r\nContent-Length: 2\r\n\r\nno", status: 407, body: "no"},
	{desc: "close in Proxy-Connection", text: "HTTP/1.1 407 No\r\nProxy-Connection: close\r\nContent-Length: 2\r\n\r\nno", status: 407, body: "no"},
	{desc: "tinyproxy's 407", text: "HTTP/1.0 407 No\r\nConnection: close\r\n\r\n<html>", close: true, status: 407, body: "<html>", cut: true},
	{desc: "tinyproxy's 401", text: "HTTP/1.0 401 No\r\nConnection: close\r\n\r\n<html>", close: true, status: 401, body: "<html>", cut: true},
	{desc: "squid 2's 407", text: "HTTP/1.0 407 No\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nno", status: 407, body: "no", reusable: true},
	{desc: "HTTP/1.0 with keep-alive", text: "HTTP/1.0 407 No\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nno", status: 407, body: "no", reusable: true},
	{desc: "HTTP/1.0 without keep-alive", text: "HTTP/1.0 407 No\r\nContent-Length: 2\r\n\r\nno", status: 407, body: "no"},
	{desc: "HTTP/1.0 with keep-alive and close", text: "HTTP/1.0 407 No\r\nConnection: keep-alive\r\nProxy-Connection: close\r\nContent-Length: 2\r\n\r\nno", status: 407, body: "no"},
	{desc: "HTTP/1.0 with close, and keep-alive in Proxy-Connection", text: "HTTP/1.0 407 No\r\nConnection: close\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nno", status: 407, body: "no"},
	{desc: "chunked", text: "HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", status: 407, body: "no", reusable: true},
	{desc: "chunked with a trailer", text: "HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\nA: b\r\n\r\n", status: 407, body: "no", reusable: true},
	{desc: "chunked, malformed", text: "HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\nzz\r\n", status: 407, body: "no", cut: true},
	{desc: "empty body", text: "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", status: 407, reusable: true},
	{desc: "407 without length", text: endless, status: 407, cut: true},
	{desc: "407 without length, close", text: "HTTP/1.1 407 No\r\nConnection: close\r\n\r\n<p>", status: 407, body: "<p>", cut: true},
	{desc: "400 without length", text: "HTTP/1.1 400 Bad Request\r\n\r\n", status: 400, cut: true},
	{desc: "503 with a page", text: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ngone", status: 503, body: "gone", reusable: true},
	{desc: "101", text: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", status: 101},
	{desc: "304 with a length", text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304, reusable: true},
	{desc: "body cut off", text: "HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\nno", close: true, status: 407, body: "no", cut: true},
	{desc: "an answer too many", text: a407 + an200, status: 407, body: "no"},
	{desc: "informational answers", text: strings.Repeat(cont, 8) + a407, status: 407, body: "no", reusable: true},
	{desc: "informational with length", text: "HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + an200, status: 200},
	{desc: "body that is kept whole", text: sized(kept), status: 407, body: strings.Repeat("x", kept), reusable: true},
	{desc: "body that is not kept whole", text: sized(kept + 1), status: 407, body: strings.Repeat("x", kept), cut: true, reusable: true},
	{desc: "body that is just read", text: sized(maxRead), status: 407, body: strings.Repeat("x", kept), cut: true, reusable: true},
	{desc: "body that is not read", text: sized(maxRead + 1), status: 407, body: strings.Repeat("x", kept), cut: true},
}

func sized(n int) string {
	return fmt.Sprintf("HTTP/1.1 407 No\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
}

// TestAnswers gives every answer at once, whatever the connection does then.
func TestAnswers(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testAnswer(t, tt, len(tt.text)) })
		})
	}
}

// TestAnswersInPieces gives the same answers, but for the bytes that come too late.
func TestAnswersInPieces(t *testing.T) {
	for _, tt := range answers {
		if tt.cut || len(tt.text) > 1000 || tt.desc == "an answer too many" {
			continue
		}
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testAnswer(t, tt, 1) })
		})
	}
}

func testAnswer(t *testing.T, tt answer, size int) {
	c, p, _ := newPeer(t)
	began := time.Now()
	k := start(t.Context(), c, proxyconn.Leg{})
	p.wantRequest()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for text := tt.text; text != ""; text = text[min(size, len(text)):] {
			io.WriteString(p, text[:min(size, len(text))])
			if size == 1 {
				synctest.Wait()
			}
		}
		if tt.close {
			p.Close()
		}
	}()
	resp, err := k.wait()
	require.Zero(t, time.Since(began))
	require.Equal(t, proxyconn.Progress{Written: true, Read: true}, c.Progress())
	require.Equal(t, tt.reusable, c.Reusable())
	if tt.status == 0 {
		require.ErrorIs(t, err, proxyconn.ErrNotHTTP)
		return
	}
	require.NoError(t, err)
	require.Equal(t, tt.status, resp.StatusCode)
	require.Equal(t, target, resp.Request.Host)
	body, err := io.ReadAll(resp.Body)
	require.Equal(t, tt.body, string(body))
	if tt.cut {
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	} else {
		require.NoError(t, err)
	}
	if tt.status/100 != 2 {
		require.Nil(t, c.Tunnel())
		return
	}
	require.Empty(t, resp.Header["Content-Length"])
	require.Empty(t, resp.TransferEncoding)
	<-sent
	testTunnel(t, c, p, tt.tunnel)
}

// testTunnel checks that all bytes pass, in both directions.
func testTunnel(t *testing.T, c *proxyconn.Conn, p *peer, early string) {
	conn := c.Tunnel()
	require.NoError(t, c.Close(), "it is handed over")
	defer conn.Close()
	go io.WriteString(conn, "question")
	b := make([]byte, len("question"))
	_, err := io.ReadFull(p.br, b)
	require.NoError(t, err)
	require.Equal(t, "question", string(b))
	go func() {
		io.WriteString(p, "HTTP/1.1 407 of the origin")
		p.Close()
	}()
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, early+"HTTP/1.1 407 of the origin", string(got))
}

// TestNoAnswer is about what is no answer. None of it is waited for longer than needed,
// and errors quote nothing.
func TestNoAnswer(t *testing.T) {
	const secret = "czNjcmV0"
	for _, tt := range []struct {
		desc string
		text string
		err  error
		head int64
	}{
		{"another protocol", "SSH-2.0-" + secret, proxyconn.ErrNotHTTP, 0},
		{"HTTP/2", "\x00\x00\x12\x04\x00", proxyconn.ErrNotHTTP, 0},
		{"HTML", "<html>" + secret, proxyconn.ErrNotHTTP, 0},
		{"blank line", "\r\n" + an200, proxyconn.ErrNotHTTP, 0},
		{"TLS", "\x15\x03\x01\x00\x02\x02\x0a", proxyconn.ErrTLSAnswer, 0},
		{"status of four digits", "HTTP/1.1 2000 " + secret + "\r\n\r\n", proxyconn.ErrNotHTTP, 0},
		{"status that is no number", "HTTP/1.1 2x0 " + secret + "\r\n\r\n", proxyconn.ErrNotHTTP, 0},
		{"version", "HTTP/" + secret + " 200 OK\r\n\r\n", proxyconn.ErrNotHTTP, 0},
		{"field without colon", "HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n", proxyconn.ErrNotHTTP, 0},
		{"field that begins with a space", "HTTP/1.1 407 No\r\n " + secret + ": x\r\n\r\n", proxyconn.ErrNotHTTP, 0},
		{"length of a refusal", "HTTP/1.1 407 No\r\nContent-Length: " + secret + "\r\n\r\n", proxyconn.ErrNotHTTP, 0},
		{"coding of a refusal", "HTTP/1.1 407 No\r\nTransfer-Encoding: " + secret + "\r\n\r\n", proxyconn.ErrNotHTTP, 0},
		{"long header", "HTTP/1.1 407 No\r\nA: " + strings.Repeat("x", 5000), proxyconn.ErrHeadTooLong, 1000},
		{"long line that does not end", "HTTP/1.1 407 " + strings.Repeat("x", 8000), proxyconn.ErrHeadTooLong, 4000},
		{"long informational answers", strings.Repeat(cont, 4), proxyconn.ErrHeadTooLong, 80},
		{"informational answers", strings.Repeat(cont, 9) + a407, proxyconn.ErrInformational, 0},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p, _ := newPeer(t)
				k := start(t.Context(), c, proxyconn.Leg{MaxHead: tt.head})
				p.wantRequest()
				p.send(tt.text)
				resp, err := k.wait()
				require.Nil(t, resp)
				require.ErrorIs(t, err, tt.err)
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), secret)
				require.False(t, c.Reusable())
				require.Nil(t, c.Tunnel())
				p.wantClosed()
				if tt.err == proxyconn.ErrTLSAnswer {
					require.ErrorIs(t, err, proxyconn.ErrNotHTTP)
				}
			})
		})
	}
}

// TestDefaultMaxHead is net/http's.
func TestDefaultMaxHead(t *testing.T) {
	const limit = 10 << 20
	for _, size := range []int{limit, limit + 1} {
		const begin, end = "HTTP/1.1 200 OK\r\nA: ", "\r\n\r\n"
		conn := &pieceConn{text: begin + strings.Repeat("x", size-len(begin+end)) + end}
		_, err := proxyconn.New(conn, nil).Connect(t.Context(), proxyconn.Leg{Target: target})
		if size > limit {
			require.ErrorIs(t, err, proxyconn.ErrHeadTooLong)
		} else {
			require.NoError(t, err)
		}
	}
}

// TestCutAtEveryByte ends the connection within an answer.
func TestCutAtEveryByte(t *testing.T) {
	for _, text := range []string{an200, a407, endless, cont + a407, "HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"} {
		last := strings.LastIndex(text, "HTTP/1.1")
		head := last + strings.Index(text[last:], "\r\n\r\n") + 4
		for n := range len(text) {
			synctest.Test(t, func(t *testing.T) {
				c, p, _ := newPeer(t)
				k := start(t.Context(), c, proxyconn.Leg{Bound: bound})
				p.wantRequest()
				p.send(text[:n])
				p.Close()
				resp, err := k.wait()
				require.False(t, c.Reusable())
				require.Equal(t, n > 0, c.Progress().Read)
				if n < head {
					require.Error(t, err)
					require.ErrorIs(t, err, map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[n == 0 || n == len(cont) && last > 0])
					return
				}
				require.NoError(t, err)
				require.Equal(t, 407, resp.StatusCode)
			})
		}
	}
}

// TestSlowBody waits five seconds for the rest of a body.
func TestSlowBody(t *testing.T) {
	for _, head := range []string{"HTTP/1.1 407 No\r\nContent-Length: 999\r\n\r\n", endless} {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			k := start(t.Context(), c, proxyconn.Leg{Bound: bound})
			p.wantRequest()
			p.send(head)
			began := time.Now()
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				for err := error(nil); err == nil; time.Sleep(70 * time.Millisecond) {
					_, err = io.WriteString(p, "x")
				}
			})
			resp, err := k.wait()
			require.NoError(t, err)
			require.Equal(t, bodyTime, time.Since(began))
			require.False(t, c.Reusable())
			body, err := io.ReadAll(resp.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Len(t, body, 72)
		})
	}
}
