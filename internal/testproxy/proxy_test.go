package testproxy_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

func withUser(u *url.URL) func(*http.Request) (*url.URL, error) {
	u.User = url.UserPassword("ann", "s3cret")
	return http.ProxyURL(u)
}

func TestProxy_forwardsForNetHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{})
		transport := &http.Transport{DialContext: w.network.DialContext, Proxy: http.ProxyURL(w.proxy.URL())}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}

		resp, err := client.Get(target)
		require.NoError(t, err)
		require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
		require.Equal(t, []string{`Basic realm="lab"`}, resp.Header["Proxy-Authenticate"])
		text(t, resp)

		req, err := http.NewRequest("POST", target+"a", strings.NewReader("payload"))
		require.NoError(t, err)
		req.Header.Set("Proxy-Authorization", "Basic YW5uOnMzY3JldA==")
		req.Header.Set("Cookie", "c=1")
		req.Header.Set("Keep-Alive", "1")
		req.Header.Set("Connection", "X-Hop, x-other")
		req.Header.Set("X-Hop", "1")
		resp, err = client.Do(req)
		require.NoError(t, err)
		require.Equal(t, "hello from POST /a", text(t, resp))

		require.Equal(t, []string{
			"c1 GET http://origin.example.com/ -> 407",
			"c1 POST http://origin.example.com/a Basic -> 200",
		}, w.proxy.Transcript())
		require.Empty(t, w.proxy.Violations())
		leg := w.proxy.Legs()[1]
		require.Equal(t, "ann", leg.User)
		require.Equal(t, 2, leg.Number)
		require.EqualValues(t, 7, leg.BodyBytes)
		require.Equal(t, []string{"origin.example.com"}, leg.Header["Host"])

		sum := sha256.Sum256([]byte("payload"))
		got := w.origin.Requests()
		require.Len(t, got, 1)
		require.Equal(t, hex.EncodeToString(sum[:]), got[0].BodySHA256)
		require.EqualValues(t, 7, got[0].BodyBytes)
		require.Equal(t, "/a", got[0].URI)
		require.Equal(t, "c=1", got[0].Header.Get("Cookie"))
		require.NotContains(t, got[0].Header, "Proxy-Authorization")
		require.NotContains(t, got[0].Header, "Keep-Alive")
		require.NotContains(t, got[0].Header, "X-Hop")
		w.origin.Reset()
		require.Empty(t, w.origin.Requests())
	})
}

func TestProxy_tunnelsForNetHTTP(t *testing.T) {
	ca := testproxy.NewCA()
	for _, test := range []struct {
		desc string
		tls  *tls.Config
	}{
		{desc: "http proxy"},
		{desc: "https proxy", tls: ca.ServerConfig("proxy.example.com")},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testproxy.Config{TLS: test.tls})
				origin := testproxy.StartOrigin(t, testproxy.OriginConfig{
					Network: w.network, TLS: ca.ServerConfig("origin.example.com"),
				})
				transport := &http.Transport{
					DialContext:     w.network.DialContext,
					Proxy:           withUser(w.proxy.URL()),
					TLSClientConfig: ca.ClientConfig(),
				}
				transport.Protocols = new(http.Protocols)
				transport.Protocols.SetHTTP1(true)
				// With h2 in NextProtos by hand net/http offers it to the proxy, too.
				transport.Protocols.SetHTTP2(true)
				client := &http.Client{Transport: transport}
				resp, err := client.Post(origin.URL()+"/x", "text/plain", strings.NewReader("payload"))
				require.NoError(t, err)
				require.Equal(t, "HTTP/2.0", resp.Proto)
				require.Equal(t, "hello from POST /x", text(t, resp))
				synctest.Wait() // for the stream to end
				transport.CloseIdleConnections()
				synctest.Wait()

				require.Equal(t, []string{"c1 CONNECT origin.example.com:443 Basic -> 200"}, w.proxy.Transcript())
				require.Empty(t, w.proxy.Violations())
				conn := w.proxy.Conns()[0]
				require.False(t, conn.Open)
				require.Equal(t, "origin.example.com:443", conn.Tunnel)
				require.Positive(t, conn.Sent)
				require.Positive(t, conn.Received)
				require.Equal(t, test.tls != nil, conn.TLS != nil)
				require.Len(t, origin.Requests(), 1)
			})
		})
	}
}

func TestProxy_concurrentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, requests = 16, 10
		w := newWorld(t, testproxy.Config{NoRecord: true})
		transport := &http.Transport{
			DialContext: w.network.DialContext, Proxy: withUser(w.proxy.URL()), MaxIdleConnsPerHost: clients,
		}
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for range requests {
					resp, err := (&http.Client{Transport: transport}).Post(target, "text/plain", strings.NewReader("x"))
					if err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				}
			})
		}
		wg.Wait()
		transport.CloseIdleConnections()
		synctest.Wait()
		require.Len(t, w.origin.Requests(), clients*requests)
		require.Empty(t, w.proxy.Legs())
		require.Empty(t, w.proxy.Conns())
		require.Empty(t, w.proxy.Violations())
	})
}

func TestProxy_anonymousTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{
			Anonymous: func(target string) bool { return strings.HasSuffix(target, ":80") },
		})
		c := w.dial()
		require.Equal(t, 407, c.get("").StatusCode)
		require.Equal(t, 200, c.connect("").StatusCode)
	})
}

func TestProxy_unreachableTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, testproxy.Config{})
		w.origin.Close()
		require.Equal(t, 503, w.dial().get(basic).StatusCode)
		require.Equal(t, 503, w.dial().connect(basic).StatusCode)
	})
}

func TestProxy_origin407LosesItsChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := testproxy.NewNetwork()
		testproxy.StartOrigin(t, testproxy.OriginConfig{
			Network: network,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Proxy-Authenticate", `Basic realm="origin"`)
				w.WriteHeader(http.StatusProxyAuthRequired)
			}),
		})
		proxy := testproxy.Start(t, testproxy.Config{Network: network})
		c := (&world{t: t, network: network, proxy: proxy}).dial()
		resp := c.get("")
		require.Equal(t, 407, resp.StatusCode)
		require.NotContains(t, resp.Header, "Proxy-Authenticate")
	})
}

func TestProxy_passesInterimAnswersOfTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := testproxy.NewNetwork()
		testproxy.StartOrigin(t, testproxy.OriginConfig{
			Network: network,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
			}),
		})
		proxy := testproxy.Start(t, testproxy.Config{Network: network})
		c := (&world{t: t, network: network, proxy: proxy}).dial()
		require.Equal(t, 103, c.get("").StatusCode)
		require.Equal(t, 200, c.answer("GET").StatusCode)
	})
}

func TestProxy_recordsALPN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := testproxy.NewCA()
		config := ca.ServerConfig("proxy.example.com")
		config.NextProtos = []string{"h2", "http/1.1"}
		w := newWorld(t, testproxy.Config{TLS: config})
		for _, protos := range [][]string{{"http/1.1"}, {"h2", "http/1.1"}} {
			client := ca.ClientConfig()
			client.ServerName = "proxy.example.com"
			client.NextProtos = protos
			conn := tls.Client(w.dial().Conn, client)
			require.NoError(t, conn.Handshake())
			conn.Close()
		}
		synctest.Wait()
		conns := w.proxy.Conns()
		require.Equal(t, []string{"http/1.1"}, conns[0].ALPN)
		require.Equal(t, []string{"h2", "http/1.1"}, conns[1].ALPN)
		require.Equal(t, []string{"c2: h2 was negotiated with a proxy that speaks HTTP/1.1"}, w.proxy.Violations())
	})
}
