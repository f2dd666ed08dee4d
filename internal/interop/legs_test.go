package interop_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// TestLegs counts the legs and connections of a client that knows nothing of its proxy,
// and of its next connection, as the proxy has them.
func TestLegs(t *testing.T) {
	t.Parallel()
	passwordAlone := []proxyauth.Scheme{&ntlm.Scheme{}, &digest.Scheme{}, &basic.Scheme{}}
	for _, tc := range []struct {
		desc       string
		proxy      func(*testing.T, *interop.KDC) starter
		kerberos   bool
		cold, next int // legs of the first request on the first connection, and on another one
	}{
		{
			desc: "squid Basic",
			proxy: func(*testing.T, *interop.KDC) starter {
				return interop.Squid{Auth: []interop.SquidAuth{interop.SquidBasic(ann)}}
			},
			cold: 2, next: 1,
		},
		{
			desc: "squid Digest",
			proxy: func(*testing.T, *interop.KDC) starter {
				return interop.Squid{Auth: []interop.SquidAuth{interop.SquidDigest(0, ann)}}
			},
			cold: 2, next: 1,
		},
		{
			desc:  "Apache Basic",
			proxy: func(*testing.T, *interop.KDC) starter { return interop.Apache{Auth: interop.ApacheBasic(ann)} },
			cold:  2, next: 1,
		},
		{
			desc: "Apache Digest",
			proxy: func(*testing.T, *interop.KDC) starter {
				return interop.Apache{Auth: interop.ApacheDigest(longNonce, ann)}
			},
			cold: 2, next: 1,
		},
		{
			desc:  "squid NTLM",
			proxy: func(*testing.T, *interop.KDC) starter { return squidNTLM(interop.SquidNTLM{Account: ann}) },
			cold:  3, next: 2,
		},
		{
			desc: "squid Negotiate, Kerberos", kerberos: true,
			proxy: func(t *testing.T, kdc *interop.KDC) starter {
				return interop.Squid{Auth: []interop.SquidAuth{interop.SquidNegotiate(kdc)}, Env: kdc.Env()}
			},
			cold: 2, next: 1,
		},
	} {
		for _, way := range []string{"forwarded", "tunnelled"} {
			t.Run(tc.desc+", "+way, func(t *testing.T) {
				t.Parallel()
				var kdc *interop.KDC
				if tc.kerberos {
					kdc = interop.StartKDC(t, ann)
				}
				proxy, origin := tc.proxy(t, kdc).Start(t), newOrigin(t)
				client := newSchemesClient(t, origin, proxy, passwordAlone...)
				if tc.kerberos {
					client = user{
						origin: origin, proxy: proxy, via: proxy.URL,
						scheme: &negotiate.Scheme{ConfigFile: kdc.ConfigFile}, provider: fixed(ann),
					}.client(t)
				}
				const requests = 3 // on each connection
				for range 2 {
					require.NoError(t, repeat(requests, func() error { return fetch(client, origin.targets()[way]) }))
					client.CloseIdleConnections()
				}
				proxy.Stop()
				want := tc.cold + tc.next
				if way == "forwarded" {
					want += 2 * (requests - 1)
				}
				legs := proxy.Legs(t)
				require.Len(t, legs, want)
				require.Equal(t, 2, conns(legs))
			})
		}
	}
}

// newSchemesClient returns a client of ann's that can do the schemes.
func newSchemesClient(t *testing.T, origin *origin, proxy *interop.Proxy, schemes ...proxyauth.Scheme) *http.Client {
	base := bareTransport(t, origin, proxy, proxy.URL)
	transport := newTransport(t, base, ann)
	transport.Schemes = schemes
	return clientOf(t, transport, base)
}

// conns returns the number of connections that the legs came on.
func conns(legs []interop.Leg) int {
	ports := make(map[string]bool)
	for _, leg := range legs {
		ports[leg.Conn] = true
	}
	return len(ports)
}

// Rules that come before authentication refuse what does not look like the request: other
// user agents, and other URLs of the same host.
func TestLegsLookLikeTheRequest(t *testing.T) {
	t.Parallel()
	const agent, path = "lab/1.0", "/upload"
	rules := []string{
		"acl agent browser ^" + agent,
		"acl upload urlpath_regex ^" + path,
		"http_access deny !agent",
		"http_access deny !CONNECT !upload",
	}
	for _, tc := range []struct {
		desc string
		auth interop.SquidAuth
		legs int // of a request
	}{
		{"Basic", interop.SquidBasic(ann), 2},
		{"Digest", interop.SquidDigest(0, ann), 2},
		{"NTLM", interop.SquidNTLM{Account: ann}.Auth, 3},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy, origin := interop.Squid{Auth: []interop.SquidAuth{tc.auth}, Rules: rules}.Start(t), newOrigin(t)
			bodies := []io.Reader{nil, strings.NewReader("short"), io.MultiReader(strings.NewReader("not replayable"))}
			for i, body := range bodies {
				client := newSchemesClient(t, origin, proxy, &ntlm.Scheme{}, &digest.Scheme{}, &basic.Scheme{})
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin.url+path, body)
				require.NoError(t, err)
				req.Header.Set("User-Agent", agent)
				resp, err := client.Do(req)
				require.NoError(t, err)
				readBody(t, resp)
				require.Equal(t, http.StatusOK, resp.StatusCode)
				require.EqualValues(t, i+1, origin.requests.Load(), "nothing but the request arrives")
			}
			proxy.Stop()
			require.Len(t, proxy.Legs(t), len(bodies)*tc.legs)
		})
	}
}
