package interop_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
)

func TestRightPassword(t *testing.T) {
	t.Parallel()
	for _, tc := range proxies {
		accounts := []interop.Account{ann}
		if tc.takesUTF8 {
			accounts = append(accounts, utf8)
		}
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy := tc.proxy.Start(t)
			origin := newOrigin(t)
			clients := 0
			for _, via := range urlsOf(proxy) {
				for _, account := range accounts {
					clients++
					requireWorks(t, newClient(t, origin, proxy, via, account), origin)
				}
			}
			proxy.Stop()
			if tc.logsLegs {
				// Of each client its first request alone is challenged.
				require.Len(t, proxy.Challenged(t), clients)
			}
		})
	}
}

// requireWorks sends requests both ways, some on new connections.
func requireWorks(t *testing.T, client *http.Client, origin *origin) {
	t.Helper()
	for range 2 {
		for range 2 {
			resp, body := get(t, client, origin.url+"/dir/file.html?query=a,b")
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Equal(t, emptyBody, body)

			resp, body = get(t, client, origin.tlsURL)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Equal(t, emptyBody, body)
			require.Equal(t, 2, resp.ProtoMajor, "HTTP/2 is lost in the tunnel")
		}
		client.CloseIdleConnections()
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for _, tc := range proxies {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy := tc.proxy.Start(t)
			origin := newOrigin(t)
			for _, via := range urlsOf(proxy) {
				client := newClient(t, origin, proxy, via, wrong)
				for range 2 {
					requireForwardRefused(t, client, origin, tc.refusesWith)
					requireTunnelRefused(t, client, origin)
				}
			}
			require.Zero(t, origin.requests.Load())
			proxy.Stop()
			if tc.logsLegs {
				require.Equal(t, len(urlsOf(proxy)), authorized(proxy.Legs(t)), "attempts with the wrong password")
			}
		})
	}
}

func requireForwardRefused(t *testing.T, client *http.Client, origin *origin, status int) {
	t.Helper()
	resp, body := get(t, client, origin.url)
	require.NotEmpty(t, body)
	// A proxy whose refusal looks like one of the origin's has its challenge
	// passed on once a tunnel has told the two apart.
	if resp.StatusCode != http.StatusProxyAuthRequired {
		require.Equal(t, status, resp.StatusCode)
		return
	}
	why, _ := proxyauth.ResponseError(resp)
	require.NotNil(t, why)
	require.Equal(t, proxyauth.CauseCredentialsRejected, why.Cause)
}

func requireTunnelRefused(t *testing.T, client *http.Client, origin *origin) {
	t.Helper()
	_, err := client.Get(origin.tlsURL)
	why, ok := errors.AsType[*proxyauth.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, proxyauth.CauseCredentialsRejected, why.Cause)
}

// authorized returns how many legs carried credentials.
func authorized(legs []interop.Leg) (n int) {
	for _, leg := range legs {
		if leg.Authorized {
			n++
		}
	}
	return n
}

func TestDeniedTarget(t *testing.T) {
	t.Parallel()
	for _, tc := range proxies {
		if strings.HasPrefix(tc.desc, "tinyproxy") {
			continue
		}
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy := tc.proxy.Start(t)
			for _, via := range urlsOf(proxy) {
				origin := newOrigin(t)
				client := newClient(t, origin, proxy, via, ann)
				// Apache would deny the target before it asks for a user.
				require.NoError(t, fetch(client, origin.url))
				resp, _ := get(t, client, "http://"+interop.DeniedHost)
				require.Equal(t, http.StatusForbidden, resp.StatusCode)

				_, err := client.Get("https://" + interop.DeniedHost)
				why, ok := errors.AsType[*proxyauth.Error](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, proxyauth.CauseDenied, why.Cause)
			}
		})
	}
}
