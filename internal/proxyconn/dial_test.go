//lint:file-ignore SA1019 The deprecated dial functions of a Transport keep working.

package proxyconn_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const proxyHost, proxyAddr = "proxy.example.com", "proxy.example.com:3128"

// A dialTest has a network with a listener for which serve is called once.
type dialTest struct {
	network *testproxy.Network
	base    *http.Transport
	dialer  *proxyconn.Dialer
}

func newDialTest(t *testing.T, scheme string, serve func(net.Conn)) *dialTest {
	n := testproxy.NewNetwork()
	ln, err := n.Listen(proxyAddr)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := ln.Accept(); err == nil {
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	base := &http.Transport{DialContext: n.DialContext}
	return &dialTest{n, base, &proxyconn.Dialer{
		Base:  base,
		Proxy: &url.URL{Scheme: scheme, Host: proxyAddr},
		TLS:   proxyconn.ClientTLS(nil, ca().ClientConfig()),
	}}
}

// echo sends back what it reads.
func echo(conn net.Conn) { io.Copy(conn, conn) }

// echoTLS does so over TLS. It would rather speak HTTP/2.
func echoTLS(conn net.Conn) {
	cfg := ca().ServerConfig(proxyHost)
	cfg.NextProtos = []string{"h2", "http/1.1"}
	c := tls.Server(conn, cfg)
	io.Copy(c, c)
}

// TestDial reaches the proxy by each function of the base.
func TestDial(t *testing.T) {
	for _, tt := range []struct {
		desc   string
		scheme string
		change func(d *dialTest)
		state  bool // of TLS
	}{
		{"DialContext", "http", func(*dialTest) {}, false},
		{"Dial", "http", func(d *dialTest) { d.base.Dial, d.base.DialContext = d.network.Dial, nil }, false},
		{"TLS", "https", func(*dialTest) {}, true},
		{"TLS over Dial", "https", func(d *dialTest) { d.base.Dial, d.base.DialContext = d.network.Dial, nil }, true},
		{"TLS with a server name", "https", func(d *dialTest) {
			d.dialer.Proxy.Host, d.dialer.TLS.ServerName = "192.0.2.1:3128", proxyHost
			d.base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return d.network.DialContext(ctx, network, proxyAddr)
			}
		}, true},
		{"DialTLSContext before its handshake", "https", func(d *dialTest) {
			d.base.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := d.network.DialContext(ctx, network, addr)
				return tls.Client(conn, clientConfig()), err
			}
		}, true},
		{"DialTLS after its handshake", "https", func(d *dialTest) {
			d.base.DialTLS = func(network, addr string) (net.Conn, error) {
				conn, err := d.network.Dial(network, addr)
				c := tls.Client(conn, clientConfig())
				return c, errors.Join(err, c.Handshake())
			}
		}, true},
		{"DialTLSContext of another kind", "https", func(d *dialTest) {
			d.base.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := d.network.DialContext(ctx, network, addr)
				return struct{ net.Conn }{tls.Client(conn, clientConfig())}, err
			}
		}, false},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				serve := map[string]func(net.Conn){"http": echo, "https": echoTLS}[tt.scheme]
				d := newDialTest(t, tt.scheme, serve)
				tt.change(d)
				conn, state, err := d.dialer.Dial(t.Context())
				require.NoError(t, err)
				defer conn.Close()
				require.Equal(t, tt.state, state != nil)
				if tt.state {
					require.True(t, state.HandshakeComplete)
					require.NotEqual(t, "h2", state.NegotiatedProtocol)
				}
				require.Equal(t, state, proxyconn.New(conn, state).TLS())
				io.WriteString(conn, "hello")
				b := make([]byte, 5)
				_, err = io.ReadFull(conn, b)
				require.NoError(t, err)
				require.Equal(t, "hello", string(b))
			})
		})
	}
}

func clientConfig() *tls.Config {
	cfg := ca().ClientConfig()
	cfg.ServerName = proxyHost
	return cfg
}

// TestDialReal needs no function of the base.
func TestDialReal(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	conn, err := proxyconn.DialBase(t.Context(), new(http.Transport), "tcp", ln.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

var errDial = errors.New("no route to the proxy")

// TestDialFails with the error of the function that failed.
func TestDialFails(t *testing.T) {
	fail := func(string, string) (net.Conn, error) { return nil, errDial }
	nothing := func(string, string) (net.Conn, error) { return nil, nil }
	withContext := func(f func(string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
		return func(_ context.Context, network, addr string) (net.Conn, error) { return f(network, addr) }
	}
	for _, tt := range []struct {
		desc string
		base *http.Transport
		want string
	}{
		{"DialContext", &http.Transport{DialContext: withContext(fail)}, errDial.Error()},
		{"Dial", &http.Transport{Dial: fail}, errDial.Error()},
		{"DialTLSContext", &http.Transport{DialTLSContext: withContext(fail)}, errDial.Error()},
		{"DialTLS", &http.Transport{DialTLS: fail}, errDial.Error()},
		{"DialContext, nothing", &http.Transport{DialContext: withContext(nothing)}, "(nil, nil)"},
		{"Dial, nothing", &http.Transport{Dial: nothing}, "(nil, nil)"},
		{"DialTLSContext, nothing", &http.Transport{DialTLSContext: withContext(nothing)}, "(nil, nil)"},
		{"DialTLS, nothing", &http.Transport{DialTLS: nothing}, "(nil, nil)"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			d := proxyconn.Dialer{Base: tt.base, Proxy: &url.URL{Scheme: "https", Host: proxyAddr}}
			conn, state, err := d.Dial(t.Context())
			require.ErrorContains(t, err, tt.want)
			require.Nil(t, conn)
			require.Nil(t, state)
		})
	}
}

// TestTLSFails and closes the connection.
func TestTLSFails(t *testing.T) {
	until := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	for _, tt := range []struct {
		desc  string
		serve func(net.Conn)
		cfg   *tls.Config
		check func(t *testing.T, err error)
	}{
		{"plain HTTP", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			until(conn)
		}, clientConfig(), func(t *testing.T, err error) {
			require.ErrorIs(t, err, proxyconn.ErrNoTLS)
			_, ok := errors.AsType[tls.RecordHeaderError](err)
			require.True(t, ok)
		}},
		{"unknown authority", echoTLS, nil, func(t *testing.T, err error) {
			_, ok := errors.AsType[x509.UnknownAuthorityError](err)
			require.True(t, ok, "%v", err)
			require.NotErrorIs(t, err, proxyconn.ErrNoTLS)
		}},
		{"closed", func(net.Conn) {}, clientConfig(), func(t *testing.T, err error) {
			require.NotErrorIs(t, err, proxyconn.ErrNoTLS)
		}},
		{"no answer", until, clientConfig(), func(t *testing.T, err error) {
			require.Equal(t, proxyconn.ErrTLSTimeout, err)
			timeout, ok := errors.AsType[net.Error](err)
			require.True(t, ok && timeout.Timeout())
			require.NotErrorIs(t, err, context.DeadlineExceeded, "which the caller's context would be")
		}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDialTest(t, "https", tt.serve)
				d.base.TLSHandshakeTimeout = 10 * time.Second
				d.dialer.TLS = tt.cfg
				conn, _, err := d.dialer.Dial(t.Context())
				require.Error(t, err)
				require.Nil(t, conn)
				tt.check(t, err)
			})
		})
	}
}

// TestContextEndsDial in every phase.
func TestContextEndsDial(t *testing.T) {
	cause := errors.New("the caller left")
	for _, tt := range []struct {
		desc   string
		change func(d *dialTest, late chan net.Conn)
	}{
		{"handshake", func(*dialTest, chan net.Conn) {}},
		{"handshake without deadlines", func(d *dialTest, _ chan net.Conn) {
			d.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := d.network.DialContext(ctx, network, addr)
				return rigidConn{conn}, err
			}
		}},
		{"Dial", func(d *dialTest, late chan net.Conn) {
			d.base.DialContext = nil
			d.base.Dial = func(string, string) (net.Conn, error) { return <-late, nil }
		}},
		{"DialTLS", func(d *dialTest, late chan net.Conn) {
			d.base.DialTLS = func(string, string) (net.Conn, error) { return <-late, nil }
		}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := make(chan net.Conn)
				d := newDialTest(t, "https", func(conn net.Conn) { io.Copy(io.Discard, conn) })
				tt.change(d, late)
				ctx, cancel := context.WithCancelCause(t.Context())
				began := time.Now()
				time.AfterFunc(time.Second, func() { cancel(cause) })
				conn, _, err := d.dialer.Dial(ctx)
				require.Nil(t, conn)
				require.Same(t, cause, err)
				require.Equal(t, time.Second, time.Since(began))
				if tt.desc == "Dial" || tt.desc == "DialTLS" {
					client, server := net.Pipe()
					late <- client
					_, err = server.Read(make([]byte, 1))
					require.ErrorIs(t, err, io.EOF, "what comes late is closed")
				}
			})
		})
	}
}

// TestClientTLS keeps sessions and trust apart from those of origin servers.
func TestClientTLS(t *testing.T) {
	cache := tls.NewLRUClientSessionCache(1)
	base := &tls.Config{
		InsecureSkipVerify: true,
		ServerName:         "origin.example.com",
		NextProtos:         []string{"h2"},
		Certificates:       []tls.Certificate{{}},
		VerifyConnection:   func(tls.ConnectionState) error { return nil },
		ClientSessionCache: cache,
		RootCAs:            x509.NewCertPool(),
		MinVersion:         tls.VersionTLS13,
	}
	cfg := proxyconn.ClientTLS(nil, base)
	require.False(t, cfg.InsecureSkipVerify)
	require.Empty(t, cfg.ServerName)
	require.Empty(t, cfg.Certificates)
	require.Nil(t, cfg.VerifyConnection)
	require.NotNil(t, cfg.ClientSessionCache)
	require.NotSame(t, cache, cfg.ClientSessionCache)
	require.Same(t, base.RootCAs, cfg.RootCAs)
	require.EqualValues(t, tls.VersionTLS13, cfg.MinVersion)
	require.Equal(t, []string{"http/1.1"}, cfg.NextProtos)

	own := &tls.Config{InsecureSkipVerify: true, ServerName: proxyHost, NextProtos: []string{"h2"}, ClientSessionCache: cache}
	cfg = proxyconn.ClientTLS(own, base)
	require.True(t, cfg.InsecureSkipVerify)
	require.Equal(t, proxyHost, cfg.ServerName)
	require.Same(t, cache, cfg.ClientSessionCache)
	require.Equal(t, []string{"http/1.1"}, cfg.NextProtos)
	require.Equal(t, []string{"h2"}, own.NextProtos, "it is a clone")

	require.Equal(t, []string{"http/1.1"}, proxyconn.ClientTLS(nil, nil).NextProtos)
}
