package proxyauth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// FuzzConnectAnswer gives a CONNECT an answer in arbitrary pieces. It is one that
// net/http would take as well, or an error. Behind a success all bytes are the
// tunnel's. Behind anything else, bytes that have come already end the connection:
// they are no answer to what is yet to be asked.
func FuzzConnectAnswer(f *testing.F) {
	for _, answer := range []string{
		"HTTP/1.1 200 Connection established\r\n\r\n",
		"HTTP/1.0 200 OK\r\nProxy-agent: Apache\r\n\r\n\x16\x03\x01",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n220 ready\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		a407, a407 + anOK, early + cont + a407, strings.Repeat(cont, 9) + a407,
		"HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
		"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n<html>",
		"HTTP/1.0 407 No\r\nProxy-Connection: Keep-Alive\r\nContent-Length: 2\r\n\r\nno",
		"HTTP/1.0 407 No\r\nProxy-Connection: keep-alive\r\n\r\nno",
		"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nn",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		strings.Repeat("HTTP/2.0 100 \n\n", 9) + a407, "HTTP/1.1 2000 OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "\x00\x00\x12\x04", "",
	} {
		f.Add(answer, []byte{}) // in one piece
		f.Add(answer, []byte{0})
		f.Add(answer, []byte{30, 2, 255})
	}
	f.Fuzz(func(t *testing.T, answer string, splits []byte) {
		const maxHead = 32 << 10
		if len(answer) > maxHead {
			t.Skip()
		}
		resp, keep, raw, err := proxyauth.Connect(t.Context(), &pieceConn{text: answer, splits: splits}, maxHead)
		at, status, informational := finalAnswer(answer)
		if err != nil {
			require.True(t, status == 0 || informational >= proxyauth.MaxInformational, "%v", err)
			require.Nil(t, resp)
			require.False(t, keep)
			return
		}
		require.Equal(t, status, resp.StatusCode)
		behind, err := io.ReadAll(raw)
		require.NoError(t, err)
		if status/100 == 2 {
			require.False(t, keep)
			require.Equal(t, answer[at+headLength(answer[at:]):], string(behind))
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.False(t, keep)
		}
		if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
			require.False(t, keep, "the body ends with the connection")
		}
		require.LessOrEqual(t, len(body), proxyauth.MaxKept)
		if len(splits) == 0 && len(answer) < 4096 { // which is read at once
			require.False(t, keep && len(behind) > 0, "%q", behind)
		}
	})
}

// headLength returns the length of the head that answer, which has one, begins
// with.
func headLength(answer string) (n int) {
	for line := range strings.Lines(answer) {
		n += len(line)
		if strings.TrimRight(line, "\r\n") == "" {
			break
		}
	}
	return n
}

// FuzzRequestTarget compares the request-target that schemes are told, of which
// Digest makes a hash, with the one that net/http writes.
func FuzzRequestTarget(f *testing.F) {
	for _, target := range []string{
		httpOrigin, httpOrigin + "/a/b?c=d#e", httpOrigin + ":8080/?", "http://[2001:db8::1%25eth0]:80/", "http://bücher.example/%2f/ü",
		"http://origin.example.com//double", "http:opaque", "http:?q", "http://ann:s3cret@origin.example.com/", "http://%41/%zz", "HTTP://Origin/\u00a0",
	} {
		f.Add(target, "", "GET")
		f.Add(target, "other.example.com:81", "CONNECT")
	}
	f.Add("http://a/", "xn--\u212a:1", "GET")
	f.Add("http://a/", "a b", "GET")
	f.Fuzz(func(t *testing.T, target, host, method string) {
		req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
		if err != nil || req.URL.Scheme != "http" {
			t.Skip()
		}
		if host != "" {
			req.Host = host
		}
		var written strings.Builder
		if req.WriteProxy(&written) != nil {
			proxyauth.RequestTarget(req) // whatever it is: this can't be sent
			return
		}
		line, _, _ := strings.Cut(written.String(), "\r\n")
		require.Equal(t, req.Method+" "+proxyauth.RequestTarget(req)+" HTTP/1.1", line)
	})
}
