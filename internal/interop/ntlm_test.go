package interop_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// newNTLMClient returns a client that can do NTLM, and Basic if it must.
func newNTLMClient(t testing.TB, origin *origin, proxy *interop.Proxy, via *url.URL, account interop.Account) *http.Client {
	base := bareTransport(t, origin, proxy, via)
	transport := newTransport(t, base, account)
	transport.Schemes = []proxyauth.Scheme{&ntlm.Scheme{}, &basic.Scheme{}}
	return clientOf(t, transport, base)
}

func squidNTLM(n interop.SquidNTLM) interop.Squid {
	return interop.Squid{Auth: []interop.SquidAuth{n.Auth}, TLS: true}
}

func TestNTLM(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		desc    string
		account interop.Account // at the proxy
		names   []string        // that the user is taken by
		off     bool
	}{
		{
			desc:    "keep-alive",
			account: ann,
			names:   []string{"ann", `LAB\ann`, `lab\ANN`},
		},
		{desc: "no keep-alive after the first 407", account: ann, names: []string{"ann"}, off: true},
		{
			desc:    "outside ASCII",
			account: interop.Account{Username: "jörg", Password: "pä:ss wörd €"},
			names:   []string{"jörg", `LAB\jörg`, "JÖRG"},
		},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy := squidNTLM(interop.SquidNTLM{Account: tc.account, KeepAliveOff: tc.off}).Start(t)
			origin := newOrigin(t)
			clients := 0
			for _, via := range urlsOf(proxy) {
				for _, name := range tc.names {
					clients++
					requireWorks(t, newNTLMClient(t, origin, proxy, via, interop.Account{Username: name, Password: tc.account.Password}), origin)
				}
			}
			proxy.Stop()
			// Of each client its first request, and the first leg of each of
			// four connections.
			require.Len(t, proxy.Challenged(t), clients*(1+4))
		})
	}
}

func TestNTLMLargeBody(t *testing.T) {
	t.Parallel()
	proxy := squidNTLM(interop.SquidNTLM{Account: ann}).Start(t)
	origin := newOrigin(t)
	var sent int64
	for _, via := range urlsOf(proxy) {
		for way, target := range origin.targets() {
			for _, body := range bodies {
				client := newNTLMClient(t, origin, proxy, via, ann)
				for range 3 {
					sent++
					requireArrives(t, client, target, body.request(t, target), via.Scheme+" proxy, "+way+", "+body.desc)
				}
			}
		}
	}
	require.Equal(t, sent, origin.requests.Load(), "each body arrives once")
}

func TestNTLMWrongPassword(t *testing.T) {
	t.Parallel()
	proxy := squidNTLM(interop.SquidNTLM{Account: ann}).Start(t)
	origin := newOrigin(t)
	for _, via := range urlsOf(proxy) {
		client := newNTLMClient(t, origin, proxy, via, wrong)
		for range 2 {
			requireForwardRefused(t, client, origin, http.StatusProxyAuthRequired)
			requireTunnelRefused(t, client, origin)
		}
	}
	proxy.Stop()
	require.Zero(t, origin.requests.Load())
	require.Equal(t, 2*len(urlsOf(proxy)), authorized(proxy.Legs(t)), "two messages of one handshake each")
}

func TestNTLMWrongPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"forwarded", "tunnelled"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			proxy, origin := squidNTLM(interop.SquidNTLM{Account: ann}).Start(t), newOrigin(t)
			client := newNTLMClient(t, origin, proxy, proxy.URL, wrong)
			concurrently(t, lockoutWorkers, func() error { return refusal(client, origin.targets()[way]) })
			proxy.Stop()
			require.Equal(t, 2, authorized(proxy.Legs(t)), "messages")
		})
	}
}

// Requests of many goroutines go over about as many connections as there are goroutines:
// none is dialled, or authenticated, for one request.
func TestNTLMConnectionsAreKept(t *testing.T) {
	t.Parallel()
	const requests, atMost = 20, 70
	proxy, origin := squidNTLM(interop.SquidNTLM{Account: ann}).Start(t), newOrigin(t)
	client := newSchemesClient(t, origin, proxy, &ntlm.Scheme{})
	concurrently(t, workers, func() error {
		return repeat(requests, func() error { return fetch(client, origin.url) })
	})
	proxy.Stop()
	require.EqualValues(t, workers*requests, origin.requests.Load())
	legs := proxy.Legs(t)
	t.Logf("%d legs on %d connections", len(legs), conns(legs))
	require.LessOrEqual(t, conns(legs), atMost)
	require.LessOrEqual(t, authorized(legs), 2*atMost)
}

// Requests of many goroutines go over few connections, each of which is
// authenticated once.
func TestNTLMConcurrently(t *testing.T) {
	t.Parallel()
	const conns = 8
	for _, off := range []bool{false, true} {
		proxy, origin := squidNTLM(interop.SquidNTLM{Account: ann, KeepAliveOff: off}).Start(t), newOrigin(t)
		base := bareTransport(t, origin, proxy, proxy.URL)
		base.MaxConnsPerHost, base.MaxIdleConnsPerHost = conns, conns
		transport := newTransport(t, base, ann)
		transport.Schemes = []proxyauth.Scheme{&ntlm.Scheme{}}
		client := clientOf(t, transport, base)
		concurrently(t, workers, func() error {
			return repeat(requestsPerWorker/10, func() error {
				if err := fetch(client, origin.url); err != nil {
					return err
				}
				return fetch(client, origin.tlsURL)
			})
		})
		client.CloseIdleConnections()
		proxy.Stop()
		const each = workers * (requestsPerWorker / 10)
		require.EqualValues(t, 2*each, origin.requests.Load())
		var forwarded, tunnelled int
		for _, leg := range proxy.Legs(t) {
			switch {
			case !leg.Authorized:
			case leg.Method == http.MethodConnect:
				tunnelled++
			default:
				forwarded++
			}
		}
		require.LessOrEqual(t, forwarded, 2*conns)
		// net/http sometimes makes one that it does not use.
		require.LessOrEqual(t, tunnelled, each/10, "the tunnels carry HTTP/2")
	}
}
