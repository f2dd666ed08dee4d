//lint:file-ignore SA1019 Base may have its old dial functions set, which net/http still calls.

package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestProtocols compares what is spoken to an origin through the tunnel with
// what bare net/http speaks through a proxy that asks for nothing.
func TestProtocols(t *testing.T) {
	t.Parallel()
	protocols := func(set ...func(*http.Protocols, bool)) *http.Protocols {
		p := new(http.Protocols)
		for _, f := range set {
			f(p, true)
		}
		return p
	}
	http1, http2 := (*http.Protocols).SetHTTP1, (*http.Protocols).SetHTTP2
	own := func() *tls.Config { return &tls.Config{RootCAs: ca.Pool()} }
	var dialer net.Dialer
	type next = map[string]func(string, *tls.Conn) http.RoundTripper
	for _, tt := range []struct {
		desc string
		want string
		base func() *http.Transport
	}{
		{"zero", "HTTP/2.0", func() *http.Transport { return &http.Transport{} }},
		{"default", "HTTP/2.0", func() *http.Transport { return http.DefaultTransport.(*http.Transport).Clone() }},
		{"TLSClientConfig", "HTTP/1.1", func() *http.Transport { return &http.Transport{TLSClientConfig: own()} }},
		{"TLSClientConfig and ForceAttemptHTTP2", "HTTP/2.0", func() *http.Transport { return &http.Transport{TLSClientConfig: own(), ForceAttemptHTTP2: true} }},
		{"TLSClientConfig and Protocols", "HTTP/2.0", func() *http.Transport {
			return &http.Transport{TLSClientConfig: own(), Protocols: protocols(http1, http2)}
		}},
		{"HTTP/1 only", "HTTP/1.1", func() *http.Transport { return &http.Transport{Protocols: protocols(http1), ForceAttemptHTTP2: true} }},
		{"HTTP/2 only", "HTTP/2.0", func() *http.Transport { return &http.Transport{Protocols: protocols(http2)} }},
		{"empty TLSNextProto", "HTTP/1.1", func() *http.Transport { return &http.Transport{TLSNextProto: next{}} }},
		{"empty TLSNextProto and ForceAttemptHTTP2", "HTTP/1.1", func() *http.Transport { return &http.Transport{TLSNextProto: next{}, ForceAttemptHTTP2: true} }},
		{"empty TLSNextProto and Protocols", "HTTP/2.0", func() *http.Transport {
			return &http.Transport{TLSNextProto: next{}, Protocols: protocols(http1, http2)}
		}},
		{"DialContext", "HTTP/1.1", func() *http.Transport { return &http.Transport{DialContext: dialer.DialContext} }},
		{"DialContext and ForceAttemptHTTP2", "HTTP/2.0", func() *http.Transport {
			return &http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true}
		}},
		{"DialContext and Protocols", "HTTP/2.0", func() *http.Transport {
			return &http.Transport{DialContext: dialer.DialContext, Protocols: protocols(http1, http2)}
		}},
		{"Dial", "HTTP/1.1", func() *http.Transport { return &http.Transport{Dial: dialer.Dial} }},
		{"DialTLSContext", "HTTP/1.1", func() *http.Transport { return &http.Transport{DialTLSContext: new(tls.Dialer).DialContext} }},
		{"no keep-alive", "HTTP/2.0", func() *http.Transport { return &http.Transport{DisableKeepAlives: true} }},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			origin := testproxy.StartOrigin(t, testproxy.OriginConfig{TLS: ca.ServerConfig("127.0.0.1")})
			through := func(wrap bool, auth ...testproxy.Mechanism) *http.Response {
				proxy := testproxy.Start(t, testproxy.Config{Auth: auth})
				base := tt.base()
				base.Proxy = http.ProxyURL(proxy.URL())
				base.Clone() // lets net/http set base up, with a TLSClientConfig if need be
				if base.TLSClientConfig == nil {
					base.TLSClientConfig = new(tls.Config)
				}
				base.TLSClientConfig.RootCAs = ca.Pool()
				t.Cleanup(base.CloseIdleConnections)
				rt := http.RoundTripper(base)
				if wrap {
					rt = wrapped(t, base)
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin.URL(), nil)
				require.NoError(t, err)
				resp, err := rt.RoundTrip(req)
				require.NoError(t, err)
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				return resp
			}
			require.Equal(t, tt.want, through(false).Proto, "net/http")
			users := &testproxy.Accounts{Passwords: map[string]string{user: password}}
			require.Equal(t, tt.want, through(true, &testproxy.Basic{Accounts: users, Realm: "lab"}).Proto)
		})
	}
}

// TestTunnelThroughTLSProxy speaks both protocols to an origin through an https://
// proxy, to which only HTTP/1.1 is offered.
func TestTunnelThroughTLSProxy(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		t.Run(fmt.Sprintf("ForceAttemptHTTP2 %v", force), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := ca.ServerConfig("proxy.example.com")
				config.NextProtos = []string{"h2", "http/1.1"} // as Apache
				l := newLab(t, testproxy.Config{TLS: config, Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}}})
				l.base.ForceAttemptHTTP2 = force
				resp := l.get(httpsOrigin + "/")
				require.Equal(t, force, resp.ProtoMajor == 2)
				require.Equal(t, "origin.example.com", resp.TLS.PeerCertificates[0].DNSNames[0])
				l.get(httpOrigin + "/")
				for _, conn := range l.proxy.Conns() {
					require.Equal(t, []string{"http/1.1"}, conn.ALPN)
				}
				l.legs("CONNECT -> 407", "= CONNECT Digest -> 200", "GET / Digest -> 200")
			})
		})
	}
}

// TestTLSToTheProxyIsShown compares what a program learns of TLS to an https:// proxy with
// what net/http tells it, in the response of a forwarded request and in httptrace's hooks.
func TestTLSToTheProxyIsShown(t *testing.T) {
	t.Parallel()
	for _, target := range []string{httpOrigin, httpsOrigin} {
		for _, broken := range []bool{false, true} {
			bubble(t, fmt.Sprintf("%s, broken %t", target, broken), func(t *testing.T) {
				l := newLab(t, testproxy.Config{TLS: ca.ServerConfig("proxy.example.com")})
				l.base.ForceAttemptHTTP2 = false
				if broken {
					l.base.TLSClientConfig.RootCAs = testproxy.NewCA().Pool()
				}
				learn := func(rt http.RoundTripper) (learned []string) {
					add := func(what string, s *tls.ConnectionState) {
						learned = append(learned, fmt.Sprint(what, " ", s != nil && len(s.PeerCertificates) > 0 && s.PeerCertificates[0].VerifyHostname("proxy.example.com") == nil))
					}
					ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
						TLSHandshakeStart: func() { add("start", nil) },
						TLSHandshakeDone:  func(s tls.ConnectionState, err error) { add(fmt.Sprint("done ", err), &s) },
					})
					resp, err := rt.RoundTrip(l.request(http.MethodGet, target, nil).WithContext(ctx))
					require.Equal(t, broken, err != nil, err)
					if err == nil {
						require.NoError(t, resp.Body.Close())
						add("response", resp.TLS)
					}
					return learned
				}
				want := learn(l.base)
				l.base.CloseIdleConnections()
				require.NotEmpty(t, want)
				require.Equal(t, want, learn(l.rt))
			})
		}
	}
}

// TestProxyTLS keeps what Base's TLSClientConfig says of origins from the proxy.
func TestProxyTLS(t *testing.T) {
	t.Parallel()
	other := testproxy.NewCA()
	for _, tt := range []struct {
		desc   string
		origin func(*tls.Config) // Base's
		proxy  *tls.Config
		ok     bool
	}{
		{"roots of Base", func(*tls.Config) {}, nil, true},
		{"other roots", func(c *tls.Config) { c.RootCAs = other.Pool() }, nil, false},
		{"InsecureSkipVerify of Base", func(c *tls.Config) { c.RootCAs, c.InsecureSkipVerify = other.Pool(), true }, nil, false},
		{"own roots", func(c *tls.Config) { c.RootCAs = other.Pool() }, ca.ClientConfig(), true},
		{"own InsecureSkipVerify", func(c *tls.Config) { c.RootCAs = other.Pool() }, &tls.Config{InsecureSkipVerify: true}, true},
		{"ServerName of Base", func(c *tls.Config) { c.ServerName = "other.example.com" }, nil, true},
		{"own ServerName", func(*tls.Config) {}, &tls.Config{RootCAs: ca.Pool(), ServerName: "other.example.com"}, false},
		{"VerifyConnection of Base", func(c *tls.Config) {
			c.VerifyConnection = func(tls.ConnectionState) error { return errors.New("not the origin") }
		}, nil, true},
		{"VerifyPeerCertificate of Base", func(c *tls.Config) {
			c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errors.New("not the origin") }
		}, nil, true},
		{"NextProtos of both", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{"h2"}}, true},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := tlsLab(t)
				tt.origin(l.base.TLSClientConfig)
				l.rt.ProxyTLSClientConfig = tt.proxy
				resp, _, err := l.do(l.request(http.MethodGet, httpOrigin, nil))
				if tt.ok {
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					require.Equal(t, []string{"http/1.1"}, l.proxy.Conns()[0].ALPN)
					return
				}
				var e *proxyauth.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, proxyauth.CauseProxyUnreachable, e.Cause)
				var unverified *tls.CertificateVerificationError
				require.ErrorAs(t, err, &unverified)
			})
		})
	}
}

// TestProxyTLSState shows the proxy neither the client's certificate nor a session
// that are meant for origins (CVE-2021-22890), nor keeps one of its own among those.
func TestProxyTLSState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config := ca.ServerConfig("proxy.example.com")
		config.ClientAuth = tls.RequestClientCert
		l := newLab(t, testproxy.Config{TLS: config, Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		sessions := &countingCache{ClientSessionCache: tls.NewLRUClientSessionCache(0)}
		l.base.TLSClientConfig.ClientSessionCache = sessions
		l.base.TLSClientConfig.Certificates = []tls.Certificate{ca.Certificate("ann.example.com")}
		for range 3 {
			l.get(httpOrigin + "/")
			l.hangUp()
		}
		require.Zero(t, sessions.gets.Load(), "a session of an origin was looked for")
		require.Zero(t, sessions.puts.Load(), "the proxy's was kept")
		l.get(httpsOrigin + "/")
		l.hangUp()
		require.EqualValues(t, 1, sessions.gets.Load(), "of the origin alone")
		require.Positive(t, sessions.puts.Load())
		l.get(httpOrigin + "/")

		conns := l.proxy.Conns()
		require.Len(t, conns, 5)
		for _, conn := range conns {
			require.Empty(t, conn.TLS.PeerCertificates)
		}
		require.True(t, conns[4].TLS.DidResume, "the proxy's own session was not used again")
	})
}

// A countingCache counts how often it is used.
type countingCache struct {
	tls.ClientSessionCache
	gets, puts atomic.Int64
}

func (c *countingCache) Get(key string) (*tls.ClientSessionState, bool) {
	c.gets.Add(1)
	return c.ClientSessionCache.Get(key)
}

func (c *countingCache) Put(key string, s *tls.ClientSessionState) {
	c.puts.Add(1)
	c.ClientSessionCache.Put(key, s)
}
