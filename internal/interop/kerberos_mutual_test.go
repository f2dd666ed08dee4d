package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// Apache's final token is in the Proxy-Authenticate of a 200. It has none for a
// CONNECT, squid none at all.
func TestRequireMutual(t *testing.T) {
	t.Parallel()
	for _, tc := range kerberosProxies {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			proxy := tc.start(t, kdc)
			proves := map[string]bool{"forwarded": tc.provesItself, "tunnelled": false}
			for _, via := range urlsOf(proxy) {
				for way, target := range origin.targets() {
					client := user{
						origin: origin, proxy: proxy, via: via,
						scheme:   &negotiate.Scheme{ConfigFile: kdc.ConfigFile, RequireMutual: true},
						provider: fixed(ann),
					}.client(t)
					if proves[way] {
						require.NoError(t, repeat(3, func() error { return fetch(client, target) }))
						continue
					}
					_, err := client.Get(target)
					require.ErrorIs(t, err, negotiate.NoMutual, "%s proxy, %s", via.Scheme, way)
					why := requireFailure(t, client, target)
					require.Equal(t, proxyauth.CauseProxyNotVerified, why.Cause)
				}
			}
		})
	}
}
