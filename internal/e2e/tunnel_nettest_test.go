package e2e_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// A tunnelMaker makes tunnels through a proxy on loopback, and returns both ends.
type tunnelMaker struct {
	rt    *proxyauth.Transport
	far   chan net.Conn // the other ends
	early string
}

func newTunnelMaker(t *testing.T, config testproxy.Config, early string) *tunnelMaker {
	t.Helper()
	m := &tunnelMaker{far: make(chan net.Conn, 1), early: early}
	config.Fault = testproxy.On(http.StatusOK, testproxy.Connected(http.StatusOK, nil, early))
	config.Dial = func(context.Context, string, string) (net.Conn, error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		near, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, err
		}
		far, err := ln.Accept()
		m.far <- far
		return near, err
	}
	proxy := testproxy.Start(t, config)
	m.rt = &proxyauth.Transport{
		Base:                 &http.Transport{Proxy: http.ProxyURL(proxy.URL())},
		ProxyTLSClientConfig: ca.ClientConfig(),
		Schemes:              []proxyauth.Scheme{&ntlm.Scheme{}},
		Credentials: proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			return credentialsOf(user, password), nil
		}),
	}
	return m
}

// make has read the early bytes: nettest wants a connection on which nothing was sent.
func (m *tunnelMaker) make(ctx context.Context) (near, far net.Conn, stop func(), err error) {
	near, err = m.rt.DialContext(ctx, "tcp", "origin.example.com:443")
	if err != nil {
		return nil, nil, nil, err
	}
	far = <-m.far
	if _, err := io.ReadFull(near, make([]byte, len(m.early))); err != nil {
		return nil, nil, nil, err
	}
	return near, far, func() { near.Close(); far.Close() }, nil
}

// What DialContext returns is a net.Conn in every respect, whatever went before.
func TestTunnelsAreNetConns(t *testing.T) {
	t.Parallel()
	for row, tt := range sample.Of(1, []struct {
		desc string
		auth []testproxy.Mechanism
	}{
		{"no authentication", nil},
		{"after NTLM", []testproxy.Mechanism{&testproxy.NTLM{
			Server: &ntlmserver.Server{RequireMIC: true, Users: map[string]string{user: password}},
		}}},
	}) {
		for _, early := range sample.Of(row, []string{"", "early"}) {
			t.Run(tt.desc+" "+early, func(t *testing.T) { testNetConn(t, testproxy.Config{Auth: tt.auth}, early) })
		}
	}
}

func testNetConn(t *testing.T, config testproxy.Config, early string) {
	m := newTunnelMaker(t, config, early)
	_, _, stop, err := m.make(t.Context())
	require.NoError(t, err)
	stop()
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) { return m.make(t.Context()) })
}

// So it is through a proxy with TLS, but for what no *tls.Conn does: a Write that has
// timed out ends it for writing. PastTimeout, FutureTimeout and ConcurrentMethods write after
// that: see TestDeadlinesOfTunnelsOverTLS. nettest can't leave tests out, so it runs in a
// process that is told which ones to run.
func TestTunnelsOverTLSAreNetConns(t *testing.T) {
	const mark = "PROXYAUTH_TEST_NETTEST"
	sent := sample.Of(1, []string{"", "early"})
	if os.Getenv(mark) != "" {
		for _, early := range sent {
			t.Run("TLS "+early, func(t *testing.T) {
				testNetConn(t, testproxy.Config{TLS: ca.ServerConfig("127.0.0.1")}, early)
			})
		}
		return
	}
	t.Parallel()
	tests := []string{"BasicIO", "PingPong", "RacyRead", "RacyWrite", "ReadTimeout", "WriteTimeout", "PresentTimeout", "CloseTimeout"}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$/^TLS/^("+strings.Join(tests, "|")+")$")
	cmd.Env = append(os.Environ(), mark+"=1")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	for _, test := range tests {
		for _, early := range sent {
			require.Contains(t, string(output), "--- PASS: "+t.Name()+"/TLS_"+early+"/"+test)
		}
	}
}

// A Read that times out, by a deadline in the past, in the future, or one of many at once, is
// not the last; a Write is, and leaves the tunnel to be read.
func TestDeadlinesOfTunnelsOverTLS(t *testing.T) {
	t.Parallel()
	past := time.Unix(1, 0)
	for _, early := range []string{"", "early"} {
		t.Run("TLS "+early, func(t *testing.T) {
			near, far, stop, err := newTunnelMaker(t, testproxy.Config{TLS: ca.ServerConfig("127.0.0.1")}, early).make(t.Context())
			require.NoError(t, err)
			defer stop()
			requireTimeout := func(n int, err error) {
				t.Helper()
				require.Zero(t, n)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			}
			send := func(from, to net.Conn) {
				t.Helper()
				_, err := from.Write([]byte("text"))
				require.NoError(t, err)
				text := make([]byte, 4)
				_, err = io.ReadFull(to, text)
				require.NoError(t, err)
				require.Equal(t, "text", string(text))
			}
			for _, wait := range []time.Duration{-time.Hour, 10 * time.Millisecond} {
				require.NoError(t, near.SetReadDeadline(time.Now().Add(wait)))
				requireTimeout(near.Read(make([]byte, 1)))
				send(near, far)
				require.NoError(t, near.SetReadDeadline(time.Time{}))
				send(far, near)
			}
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() { near.Read(make([]byte, 1)) })
				wg.Go(func() { near.SetReadDeadline(past) })
			}
			wg.Wait()
			require.NoError(t, near.SetReadDeadline(time.Time{}))
			send(far, near)
			send(near, far)

			require.NoError(t, near.SetWriteDeadline(past))
			requireTimeout(near.Write([]byte("lost")))
			require.NoError(t, near.SetWriteDeadline(time.Time{}))
			_, err = near.Write([]byte("lost"))
			require.Error(t, err)
			send(far, near)
		})
	}
}
