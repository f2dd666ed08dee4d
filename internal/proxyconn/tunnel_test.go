package proxyconn_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// open returns the tunnel over client, in which early bytes have come with the answer.
func open(t *testing.T, client, server net.Conn, early string) net.Conn {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 4096)
		for got := ""; !strings.HasSuffix(got, "\r\n\r\n"); {
			n, err := server.Read(b)
			if err != nil {
				return
			}
			got += string(b[:n])
		}
		io.WriteString(server, an200+early)
	})
	c := proxyconn.New(client, nil)
	_, err := c.Connect(t.Context(), proxyconn.Leg{Target: target, Header: http.Header{}})
	require.NoError(t, err)
	wg.Wait()
	return c.Tunnel()
}

// openEarly returns a tunnel with early bytes, and its peer.
func openEarly(t *testing.T, early string) (conn, server net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	return open(t, client, server, early), server
}

// TestEarlyBytesObeyDeadlines as all bytes do.
func TestEarlyBytesObeyDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := openEarly(t, "early")
		b := make([]byte, 2)
		for _, set := range []func(time.Time) error{conn.SetDeadline, conn.SetReadDeadline} {
			require.NoError(t, set(time.Now().Add(time.Second)))
			n, err := conn.Read(b[:1])
			require.NoError(t, err)
			require.Equal(t, 1, n)
			time.Sleep(time.Second)
			n, err = conn.Read(b)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Zero(t, n)
			require.NoError(t, set(time.Now()))
			_, err = conn.Read(b)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, conn.SetWriteDeadline(time.Unix(1, 0)))
			require.NoError(t, set(time.Time{}))
		}
		require.NoError(t, conn.SetWriteDeadline(time.Unix(1, 0)))
		b, err := io.ReadAll(io.LimitReader(conn, 3))
		require.NoError(t, err)
		require.Equal(t, "rly", string(b))
	})
}

// TestEarlyBytesAfterClose are gone.
func TestEarlyBytesAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, server := openEarly(t, "early")
		require.NoError(t, conn.Close())
		n, err := conn.Read(make([]byte, 5))
		require.ErrorIs(t, err, net.ErrClosed)
		require.Zero(t, n)
		_, err = server.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

// TestEarlyBytesWithoutDeadlines are read though a deadline could not be set.
func TestEarlyBytesWithoutDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		conn := open(t, rigidConn{client}, server, "early")
		defer conn.Close()
		require.ErrorIs(t, conn.SetReadDeadline(time.Unix(1, 0)), os.ErrNoDeadline)
		require.ErrorIs(t, conn.SetDeadline(time.Unix(1, 0)), os.ErrNoDeadline)
		b := make([]byte, 9)
		n, err := conn.Read(b)
		require.NoError(t, err)
		require.Equal(t, "early", string(b[:n]))
	})
}

// TestEarlyBytesThatFillTheBuffer come before those behind them.
func TestEarlyBytesThatFillTheBuffer(t *testing.T) {
	text := strings.Repeat("0123456789", 1000)
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		http.ReadRequest(bufio.NewReader(server))
		io.WriteString(server, an200+text)
		server.Close()
	}()
	c := proxyconn.New(client, nil)
	_, err := c.Connect(t.Context(), proxyconn.Leg{Target: target})
	require.NoError(t, err)
	got, err := io.ReadAll(c.Tunnel())
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

// A copyConn counts the bytes that come by ReadFrom. It has no CloseWrite.
type copyConn struct {
	net.Conn
	copied int64
}

func (c *copyConn) ReadFrom(r io.Reader) (n int64, err error) {
	n, err = io.Copy(c.Conn, r)
	c.copied += n
	return n, err
}

// A halfConn has a CloseWrite.
type halfConn struct {
	net.Conn
	ended bool
}

func (c *halfConn) CloseWrite() error {
	c.ended = true
	return nil
}

// TestTunnelCanWhatItsConnectionCan do, and no more.
func TestTunnelCanWhatItsConnectionCan(t *testing.T) {
	for _, early := range []string{"", "early"} {
		t.Run("early "+early, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			below := &copyConn{Conn: client}
			conn := open(t, below, server, early)
			_, ok := conn.(interface{ CloseWrite() error })
			require.False(t, ok)
			var got bytes.Buffer
			var wg sync.WaitGroup
			wg.Go(func() { io.Copy(&got, server) })
			_, err := io.Copy(conn, struct{ io.Reader }{strings.NewReader("a file")})
			require.NoError(t, err)
			require.EqualValues(t, len("a file"), below.copied)
			conn.Close()
			wg.Wait()
			require.Equal(t, "a file", got.String())

			client, server = net.Pipe()
			defer client.Close()
			half := &halfConn{Conn: client}
			conn = open(t, half, server, early)
			require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
			require.True(t, half.ended)
		})
	}
}

// TestTunnelIsANetConn with and without early bytes. (A *tls.Conn by itself is none in
// the sense of this suite: after a Write that timed out it stays useless.)
func TestTunnelIsANetConn(t *testing.T) {
	for _, early := range []string{"", "early"} {
		t.Run("early "+early, func(t *testing.T) { testNetConn(t, early) })
	}
}

func testNetConn(t *testing.T, early string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, nil, nil, err
		}
		server, err := ln.Accept()
		if err != nil {
			return nil, nil, nil, err
		}
		conn := open(t, client, server, early)
		// The suite wants a connection on which nothing has been sent.
		if _, err := io.ReadFull(conn, make([]byte, len(early))); err != nil {
			return nil, nil, nil, err
		}
		return conn, server, func() { conn.Close(); server.Close() }, nil
	})
}

// TestTunnelOverTLS passes all bytes in both directions at once, and half closes.
func TestTunnelOverTLS(t *testing.T) {
	const size = 1 << 20
	for _, early := range []string{"", "early"} {
		t.Run("early "+early, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down, up := testproxy.NewNetwork().Pipe()
				client, server := secured(t, down, up)
				conn := open(t, client, server, early)
				defer conn.Close()
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() {
					io.Copy(server, server)
					server.CloseWrite()
				})
				wg.Go(func() {
					conn.Write(bytes.Repeat([]byte("x"), size))
					conn.(interface{ CloseWrite() error }).CloseWrite()
				})
				got, err := io.ReadAll(conn)
				require.NoError(t, err)
				require.Equal(t, early, string(got[:len(early)]))
				require.Len(t, got, len(early)+size)
			})
		})
	}
}
