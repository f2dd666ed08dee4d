package testproxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

type halfCloser interface {
	CloseWrite() error
	SetLinger(int) error
}

func TestNetwork_carriesBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := testproxy.NewNetwork().Pipe()
		large := bytes.Repeat([]byte("0123456789"), 100_000)
		go func() {
			io.Copy(b, b)
			b.Close()
		}()
		go func() {
			a.Write(large)
			a.(halfCloser).CloseWrite()
		}()
		got, err := io.ReadAll(a)
		require.NoError(t, err)
		require.True(t, bytes.Equal(large, got))
	})
}

func TestNetwork_closing(t *testing.T) {
	for _, test := range []struct {
		desc      string
		close     func(c net.Conn)
		wantRead  string
		wantErr   error // of the peer's read after that
		wantWrite error // of the peer's write
	}{
		{
			desc:      "close",
			close:     func(c net.Conn) { c.Close() },
			wantRead:  "sent",
			wantWrite: syscall.ECONNRESET,
		}, {
			desc:     "half-close",
			close:    func(c net.Conn) { c.(halfCloser).CloseWrite() },
			wantRead: "sent",
		}, {
			desc: "close after half-close",
			close: func(c net.Conn) {
				c.(halfCloser).CloseWrite()
				c.Close()
			},
			wantRead:  "sent",
			wantWrite: syscall.ECONNRESET,
		}, {
			desc: "reset",
			close: func(c net.Conn) {
				c.(halfCloser).SetLinger(0)
				c.Close()
			},
			wantErr:   syscall.ECONNRESET,
			wantWrite: syscall.ECONNRESET,
		},
	} {
		t.Run(test.desc, func(t *testing.T) {
			a, b := testproxy.NewNetwork().Pipe()
			io.WriteString(a, "sent")
			test.close(a)
			got, err := io.ReadAll(b)
			require.Equal(t, test.wantRead, string(got))
			require.ErrorIs(t, err, test.wantErr)
			_, err = io.WriteString(b, "more")
			require.ErrorIs(t, err, test.wantWrite)
			_, err = io.WriteString(a, "more")
			require.Error(t, err)
		})
	}
}

func TestNetwork_closeWithDataUnreadResets(t *testing.T) {
	a, b := testproxy.NewNetwork().Pipe()
	io.WriteString(b, "unread")
	io.WriteString(a, "answer")
	require.NoError(t, a.Close())
	require.ErrorIs(t, a.Close(), net.ErrClosed)
	got, err := io.ReadAll(b)
	require.Equal(t, "answer", string(got))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestNetwork_closeWakesOwnCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := testproxy.NewNetwork().Pipe()
		errs := make(chan error, 2)
		go func() {
			_, err := a.Read(make([]byte, 1))
			errs <- err
		}()
		go func() {
			_, err := a.Write(make([]byte, 1<<20))
			errs <- err
		}()
		synctest.Wait()
		a.Close()
		require.ErrorIs(t, <-errs, net.ErrClosed)
		require.ErrorIs(t, <-errs, net.ErrClosed)
	})
}

func TestNetwork_deadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := testproxy.NewNetwork().Pipe()
		start := time.Now()
		a.SetDeadline(start.Add(time.Minute))
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		n, err := a.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Zero(t, n, "the deadline is over before it writes")
		require.Equal(t, time.Minute, time.Since(start))

		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())

		a.SetDeadline(time.Time{})
		go io.WriteString(b, "x")
		_, err = a.Read(make([]byte, 1))
		require.NoError(t, err)

		a.SetReadDeadline(time.Now().Add(-time.Second))
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err = a.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Positive(t, n, "as much as fits")
		a.Close()
		b.Close()
	})
}

func TestNetwork_dialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := testproxy.NewNetwork()
		ln, err := n.Listen("proxy.example.com:3128")
		require.NoError(t, err)
		_, err = n.Listen("proxy.example.com:3128")
		require.ErrorIs(t, err, syscall.EADDRINUSE)

		_, err = n.Dial("tcp", "proxy.example.com:8080")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		_, err = n.Dial("tcp", "nosuch.example.com:3128")
		dns, ok := errors.AsType[*net.DNSError](err)
		require.True(t, ok)
		require.True(t, dns.IsNotFound)

		n.Blackhole("192.0.2.1:3128")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = n.DialContext(ctx, "tcp", "192.0.2.1:3128")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok)
		require.True(t, timeout.Timeout())

		waiting, err := n.Dial("tcp", "proxy.example.com:3128")
		require.NoError(t, err)
		require.NoError(t, ln.Close())
		_, err = waiting.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = n.Dial("tcp", "proxy.example.com:3128")
		require.Error(t, err)
	})
}

func TestNetwork_freePort(t *testing.T) {
	n := testproxy.NewNetwork()
	first, err := n.Listen("127.0.0.1:0")
	require.NoError(t, err)
	second, err := n.Listen("127.0.0.1:0")
	require.NoError(t, err)
	require.NotEqual(t, first.Addr().String(), second.Addr().String())
}
