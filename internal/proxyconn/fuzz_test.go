package proxyconn_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// A pieceConn gives a text in pieces, and then the end. Sizes are used in turn.
type pieceConn struct {
	net.Conn
	text   string
	sizes  []byte
	reads  int
	closed bool
}

func (c *pieceConn) Read(b []byte) (int, error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.text == "" {
		return 0, io.EOF
	}
	if len(c.sizes) > 0 {
		size := int(c.sizes[c.reads%len(c.sizes)]) + 1
		b = b[:min(len(b), size)]
		c.reads++
	}
	n := copy(b, c.text)
	c.text = c.text[n:]
	return n, nil
}

func (c *pieceConn) Write(b []byte) (int, error) { return len(b), nil }
func (c *pieceConn) Close() error                { c.closed = true; return nil }

// FuzzAnswer gives a CONNECT an answer in arbitrary pieces. Where net/http can read it,
// the result is the same; bounds hold; all bytes behind a success are the tunnel's.
func FuzzAnswer(f *testing.F) {
	for _, tt := range answers {
		if len(tt.text) < 4000 {
			f.Add(tt.text, []byte{})
			f.Add(tt.text, []byte{0})
			f.Add(tt.text, []byte{30, 2, 255})
		}
	}
	for _, text := range []string{
		"HTTP/1.1 2000 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "\x15\x03\x01", "HTTP/1.1 407 No\r\nA: b\r\n\tc\r\n \r\nContent-Length : 1\r\n\r\nx",
		"HTTP/1.1 407 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\n Content-Length: 1\r\n\r\n", "HTTP/2.0 100 \n\n" + a407, "",
	} {
		f.Add(text, []byte{1})
	}
	f.Fuzz(func(t *testing.T, text string, sizes []byte) {
		const maxHead = 8 << 10
		if len(text) > 2*maxHead {
			t.Skip()
		}
		conn := &pieceConn{text: text, sizes: sizes}
		c := proxyconn.New(conn, nil)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, err := c.Connect(ctx, proxyconn.Leg{Target: target, MaxHead: maxHead})
		want, rest, length := readAnswer(text)
		if err != nil {
			require.Nil(t, resp)
			require.False(t, c.Reusable())
			require.True(t, conn.closed)
			require.True(t, want == nil || length > maxHead || err == proxyconn.ErrInformational, "%v", err)
			return
		}
		require.Equal(t, resp.StatusCode/100 != 2 && conn.closed, resp.StatusCode/100 != 2 && !c.Reusable())
		if want != nil { // which it is for the framing of what has no body
			require.LessOrEqual(t, length, maxHead)
			require.Equal(t, want.StatusCode, resp.StatusCode)
			require.Equal(t, want.Status, resp.Status)
			require.Equal(t, want.Proto, resp.Proto)
			require.Equal(t, want.Header["Proxy-Authenticate"], resp.Header["Proxy-Authenticate"])
		}
		if tunnel := c.Tunnel(); tunnel != nil {
			require.Equal(t, 2, resp.StatusCode/100)
			behind, err := io.ReadAll(tunnel)
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(text, string(behind)))
			require.True(t, want == nil || text[length:] == string(behind))
		} else if want != nil {
			checkBody(t, resp, want, c.Reusable())
			_, err := rest.Peek(1)
			require.True(t, err == io.EOF || !c.Reusable() || len(text) > 4096 || len(sizes) > 0, "there is more")
		}
	})
}

// checkBody compares the body of resp with that of want.
func checkBody(t *testing.T, resp, want *http.Response, reusable bool) {
	t.Helper()
	got, err := io.ReadAll(resp.Body)
	whole, wantErr := io.ReadAll(want.Body)
	if want.ContentLength < 0 && len(want.TransferEncoding) == 0 {
		require.True(t, strings.HasPrefix(string(whole), string(got)))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.False(t, reusable)
		return
	}
	require.Equal(t, string(whole), string(got))
	require.Equal(t, wantErr == nil, err == nil)
	require.False(t, reusable && wantErr != nil)
}

// readAnswer lets net/http read the final answer of text, and returns where its header
// ends. It is nil if there is none.
func readAnswer(text string) (resp *http.Response, in *bufio.Reader, length int) {
	in = bufio.NewReader(strings.NewReader(text))
	for {
		length += headLength(text[length:])
		resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
		if err != nil {
			return nil, in, length
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, in, length
		}
	}
}

// headLength returns the length of the header that text begins with.
func headLength(text string) (n int) {
	for line := range strings.Lines(text) {
		n += len(line)
		if line == "\n" || line == "\r\n" {
			break
		}
	}
	return n
}
