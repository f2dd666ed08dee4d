package interop_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
)

// The harness itself, with nothing of this module between net/http and the
// proxies.
func TestProxiesWantCredentials(t *testing.T) {
	t.Parallel()
	for _, tc := range proxies {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy := tc.proxy.Start(t)
			origin := newOrigin(t)
			for _, via := range urlsOf(proxy) {
				base := bareTransport(t, origin, proxy, via)
				client := clientOf(t, base, base)
				resp, _ := get(t, client, origin.url)
				require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
				require.Len(t, resp.Header.Values("Proxy-Authenticate"), tc.offers)

				_, err := client.Get(origin.tlsURL)
				require.ErrorContains(t, err, "Proxy Authentication Required")
			}
			proxy.Stop()
			if tc.logsLegs {
				require.Len(t, proxy.Challenged(t), 2*len(urlsOf(proxy)))
			}
		})
	}
}

func TestProxiesTakeBasicFromNetHTTP(t *testing.T) {
	t.Parallel()
	for _, tc := range proxies {
		if !tc.takesBasic {
			continue
		}
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy := tc.proxy.Start(t)
			origin := newOrigin(t)
			for _, via := range urlsOf(proxy) {
				withUser := *via
				withUser.User = url.UserPassword(ann.Username, ann.Password)
				base := bareTransport(t, origin, proxy, &withUser)
				client := clientOf(t, base, base)
				for _, target := range []string{origin.url, origin.tlsURL} {
					resp, body := get(t, client, target)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					require.Equal(t, emptyBody, body)
				}
				client.CloseIdleConnections()
			}
			proxy.Stop()
			if tc.logsLegs {
				require.Empty(t, proxy.Challenged(t))
			}
		})
	}
}

// urlsOf returns where proxy listens.
func urlsOf(proxy *interop.Proxy) []*url.URL {
	if proxy.TLSURL == nil {
		return []*url.URL{proxy.URL}
	}
	return []*url.URL{proxy.URL, proxy.TLSURL}
}
