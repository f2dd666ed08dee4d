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
				client := &http.Client{Transport: bareTransport(t, origin, proxy, via)}
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
				client := &http.Client{Transport: bareTransport(t, origin, proxy, &withUser)}
				for _, target := range []string{origin.url, origin.tlsURL} {
					resp, body := get(t, client, target)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					require.Equal(t, emptyBody, body)
				}
				// Apache would wait for the tunnel's end.
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
