package interop_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// What each proxy does with TLS on a port without, and the other way round, is told with
// the scheme that is right.
func TestWrongSchemeOfTheProxysURL(t *testing.T) {
	t.Parallel()
	for desc, proxy := range map[string]starter{
		"squid":     interop.Squid{Auth: []interop.SquidAuth{interop.SquidBasic(ann)}, TLS: true},
		"Apache":    interop.Apache{Auth: interop.ApacheBasic(ann), TLS: true},
		"tinyproxy": interop.Tinyproxy{Accounts: []interop.Account{ann}},
	} {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			proxy, origin := proxy.Start(t), newOrigin(t)
			for way, target := range origin.targets() {
				base := bareTransport(t, origin, proxy, &url.URL{Scheme: "https", Host: proxy.URL.Host})
				rt := newTransport(t, base, ann)
				rt.LegTimeout = 2 * time.Second // tinyproxy waits for the end of a line
				why := requireFailure(t, clientOf(t, rt, base), target)
				require.Equal(t, proxyauth.CauseProxyUnreachable, why.Cause, "%s: %v", way, why)
				require.Contains(t, why.Hint(), "http:// in place of https://")
				require.Contains(t, why.Hint(), proxy.URL.Host)
			}
			if proxy.TLSURL == nil {
				return
			}
			client := newClient(t, origin, proxy, &url.URL{Scheme: "http", Host: proxy.TLSURL.Host}, ann)
			why := requireFailure(t, client, origin.targets()["tunnelled"])
			require.Contains(t, []proxyauth.Cause{proxyauth.CauseProxyUnreachable, proxyauth.CauseProxyFailed}, why.Cause, "%v", why)
			require.Contains(t, why.Hint(), "https:// in place of http://", why)
			require.Contains(t, why.Hint(), proxy.TLSURL.Host)
		})
	}
}

// squid's helper for Kerberos does not know the NTLM that takes the place of a ticket. The
// failure of Kerberos is what counts.
func TestKerberosFailureBeforeNTLM(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc)
	kdc.RemoveProxy(t)
	for way, target := range origin.targets() {
		client := user{
			origin: origin, proxy: proxy, via: proxy.URL, provider: fixed(ann),
			scheme: &negotiate.Scheme{ConfigFile: kdc.ConfigFile, Sources: []negotiate.Source{negotiate.Password}},
		}.client(t)
		for range 2 {
			why := requireFailure(t, client, target)
			require.Equal(t, proxyauth.CauseKerberosFailed, why.Cause, "%s: %v", way, why)
			requireTried(t, why, negotiate.ServiceUnknown)
			require.Contains(t, why.Hint(), "setspn -S HTTP/"+interop.ProxyHost)
			require.Contains(t, why.Hint(), "CanonicalizeHost")
			require.NotContains(t, why.Hint(), "firewall")
		}
	}
}

// tinyproxy refuses a forwarded request with a 401 that could be the origin's.
func TestTinyproxys401IsExplained(t *testing.T) {
	t.Parallel()
	proxy, origin := interop.Tinyproxy{Accounts: []interop.Account{ann}}.Start(t), newOrigin(t)
	client := newClient(t, origin, proxy, proxy.URL, wrong)
	resp, _ := get(t, client, origin.targets()["forwarded"])
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	why, ok := proxyauth.ResponseError(resp)
	require.True(t, ok)
	require.Equal(t, proxyauth.CauseCredentialsRejected, why.Cause)
	require.Contains(t, why.Hint(), "may be wrong")
}

// squid's rules before authentication, and targets that it can't reach.
func TestSquidOpensNoTunnel(t *testing.T) {
	t.Parallel()
	proxy := interop.Squid{
		Auth:  []interop.SquidAuth{interop.SquidBasic(ann)},
		Rules: []string{"acl forbidden port 25", "http_access deny CONNECT forbidden"},
	}.Start(t)
	origin := newOrigin(t)
	rt := newTransport(t, bareTransport(t, origin, proxy, proxy.URL), ann)
	for target, want := range map[string]struct {
		cause proxyauth.Cause
		hint  string
	}{
		"mail.invalid:25":   {proxyauth.CauseDenied, "does not allow mail.invalid:25"},
		"origin.invalid:22": {proxyauth.CauseTargetUnreachable, "can't reach the target, origin.invalid:22"},
		"127.0.0.1:1":       {proxyauth.CauseTargetUnreachable, "can't reach the target, 127.0.0.1:1"},
	} {
		_, err := rt.DialContext(t.Context(), "tcp", target)
		why, ok := errors.AsType[*proxyauth.Error](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, want.cause, why.Cause, "%v", why)
		require.Contains(t, why.Hint(), want.hint)
	}
}
