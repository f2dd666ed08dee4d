package testproxy_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

func TestProxy_streamsLargeBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{})
		c := w.dial()
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		go func() {
			c.Write([]byte("POST " + target + " HTTP/1.1\r\nHost: origin.example.com\r\n" + basic + "Content-Length: 1048576\r\n\r\n"))
			c.Write(data)
		}()
		require.Equal(t, 200, c.answer("POST").StatusCode)
		sum := sha256.Sum256(data)
		require.Equal(t, hex.EncodeToString(sum[:]), w.origin.Requests()[0].BodySHA256)
		require.EqualValues(t, len(data), w.proxy.Legs()[0].BodyBytes)
	})
}

func TestProxy_chunkedBodyWithTrailer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{})
		c := w.dial()
		resp := c.do("POST", basic+"Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n")
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, 200, c.get(basic).StatusCode, "the connection is good")
		require.EqualValues(t, 3, w.origin.Requests()[0].BodyBytes)
	})
}

func TestProxy_expectContinue(t *testing.T) {
	const expect = "Expect: 100-continue\r\nContent-Length: 3\r\n"
	for _, test := range []struct {
		desc   string
		policy testproxy.BodyPolicy
		lines  string
		want   []int
		closed bool
	}{
		{desc: "accepted", lines: basic, want: []int{100, 200}},
		{desc: "refused", want: []int{407}, closed: true},
		{desc: "refused by squid", policy: testproxy.SquidBody, want: []int{407}},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{RefusedBody: test.policy})
				c := w.dial()
				c.send("POST " + target + " HTTP/1.1\r\nHost: origin.example.com\r\n" + test.lines + expect + "\r\n")
				for i, want := range test.want {
					require.Equal(t, want, c.answer("POST").StatusCode)
					if i == 0 && len(test.want) > 1 {
						c.send("abc")
					}
				}
				if test.closed {
					c.requireClosed()
				}
			})
		})
	}
}

func TestProxy_http10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{})
		c := w.dial()
		c.send("GET " + target + " HTTP/1.0\r\nHost: origin.example.com\r\n\r\n")
		require.True(t, c.answer("GET").Close)
		c.requireClosed()
	})
}
