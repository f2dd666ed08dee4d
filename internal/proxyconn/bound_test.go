package proxyconn_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

// boundLeg makes a leg whose answer is bound to the connection and has no length.
func boundLeg(t *testing.T, c *proxyconn.Conn, p *peer, answer string) *http.Response {
	t.Helper()
	k := start(t.Context(), c, proxyconn.Leg{Bound: bound})
	p.wantRequest()
	p.send(answer)
	began := time.Now()
	resp, err := k.wait()
	require.NoError(t, err)
	require.Equal(t, quietTime, time.Since(began))
	return resp
}

// TestBoundBodyEndsWithAPause so that the handshake goes on over the same connection.
func TestBoundBodyEndsWithAPause(t *testing.T) {
	const page = "<html>no</html>"
	for _, body := range []string{"", page} {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			resp := boundLeg(t, c, p, endless+body)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, body, string(got))
			require.True(t, c.Reusable())
			time.Sleep(time.Hour) // until the credentials are there
			require.True(t, c.Reusable())
			k := start(t.Context(), c, proxyconn.Leg{})
			p.wantRequest()
			p.send(an200 + "early")
			resp, err = k.wait()
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			testTunnel(t, c, p, "early")
		})
	}
}

// TestBoundBodyInParts is read as long as it comes.
func TestBoundBodyInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := newPeer(t)
		k := start(t.Context(), c, proxyconn.Leg{Bound: bound})
		p.wantRequest()
		p.send(endless)
		for _, part := range []string{"<html>", "no", "</html>"} {
			time.Sleep(quietTime - 1)
			p.send(part)
		}
		resp, err := k.wait()
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "<html>no</html>", string(got))
		require.True(t, c.Reusable())
	})
}

// TestBoundBodyThatComesLate is no answer to the next leg, which is not even sent if
// it has come before.
func TestBoundBodyThatComesLate(t *testing.T) {
	for _, text := range []string{"<html>", an200} {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			boundLeg(t, c, p, endless)
			p.send(text)
			synctest.Wait()
			require.False(t, c.Reusable())
			_, err := c.Connect(t.Context(), proxyconn.Leg{Target: target})
			require.ErrorIs(t, err, proxyconn.ErrNotHTTP)
			require.Equal(t, proxyconn.Progress{Reused: true}, c.Progress())
			p.wantClosed()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := newPeer(t)
		boundLeg(t, c, p, endless)
		k := start(t.Context(), c, proxyconn.Leg{})
		p.wantRequest()
		p.send("<html>" + an200)
		_, err := k.wait()
		require.ErrorIs(t, err, proxyconn.ErrNotHTTP)
		require.Equal(t, proxyconn.Progress{Reused: true, Written: true, Read: true}, c.Progress())
	})
}

// TestBoundConnectionEnds with the body, before the next leg, or during it.
func TestBoundConnectionEnds(t *testing.T) {
	t.Run("with the body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			k := start(t.Context(), c, proxyconn.Leg{Bound: bound})
			p.wantRequest()
			p.send(endless + "<html>")
			p.Close()
			resp, err := k.wait()
			require.NoError(t, err)
			require.False(t, c.Reusable())
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "<html>", string(got))
		})
	})
	t.Run("before the next leg", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			boundLeg(t, c, p, endless)
			p.Close()
			synctest.Wait()
			require.False(t, c.Reusable())
			_, err := c.Connect(t.Context(), proxyconn.Leg{Target: target})
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, proxyconn.Progress{Reused: true}, c.Progress())
		})
	})
	t.Run("during the next leg", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			boundLeg(t, c, p, endless)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			k := start(ctx, c, proxyconn.Leg{})
			p.wantRequest()
			_, err := k.wait()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			p.wantClosed()
		})
	})
	t.Run("by Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p, _ := newPeer(t)
			boundLeg(t, c, p, endless)
			require.NoError(t, c.Close())
			p.wantClosed() // and the bubble ends only without goroutines
		})
	})
}

// TestBoundAsksAboutTheAnswer only where its body has no length and the connection
// may stay open.
func TestBoundAsksAboutTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		answer string
		asked  bool
	}{
		{"no length", endless, true},
		{"no length, HTTP/1.0 kept alive", "HTTP/1.0 407 No\r\nProxy-Connection: keep-alive\r\n\r\n", true},
		{"length", a407, false},
		{"no length, close", "HTTP/1.1 407 No\r\nConnection: close\r\n\r\n", false},
		{"no length, HTTP/1.0", "HTTP/1.0 407 No\r\n\r\n", false},
		{"success", an200, false},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p, _ := newPeer(t)
				asked := false
				k := start(t.Context(), c, proxyconn.Leg{Bound: func(resp *http.Response) bool {
					asked = true
					require.Equal(t, 407, resp.StatusCode)
					return false
				}})
				p.wantRequest()
				p.send(tt.answer)
				began := time.Now()
				_, err := k.wait()
				require.NoError(t, err)
				require.Zero(t, time.Since(began))
				require.Equal(t, tt.asked, asked)
			})
		})
	}
}

// TestBoundBodyIsLimited as any other is.
func TestBoundBodyIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := newPeer(t)
		k := start(t.Context(), c, proxyconn.Leg{Bound: bound})
		p.wantRequest()
		p.send(endless)
		go func() {
			for err := error(nil); err == nil; {
				_, err = p.Write(make([]byte, 1000))
			}
		}()
		resp, err := k.wait()
		require.NoError(t, err)
		require.False(t, c.Reusable())
		got, err := io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Len(t, got, kept)
	})
}
