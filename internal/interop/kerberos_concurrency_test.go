package interop_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// However many requests need a ticket, through whichever Transport, the KDC is
// asked for one.
func TestColdRequestsShareTickets(t *testing.T) {
	t.Parallel()
	const requests, transports = 1000, 10
	for _, tc := range kerberosProxies {
		for _, way := range []string{"forwarded", "tunnelled"} {
			t.Run(tc.desc+", "+way, func(t *testing.T) {
				t.Parallel()
				kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
				proxy := tc.start(t, kdc)
				u := user{
					origin: origin, proxy: proxy, via: proxy.URL,
					scheme:   &negotiate.Scheme{ConfigFile: kdc.ConfigFile},
					provider: fixed(ann),
					change: func(rt *proxyauth.Transport) {
						base := rt.Base.(*http.Transport)
						base.MaxConnsPerHost, base.MaxIdleConnsPerHost = workers/transports, workers
						// Many tunnels.
						base.ForceAttemptHTTP2 = false
					},
				}
				clients := make(chan *http.Client, requests)
				for range transports {
					client := u.client(t)
					for range requests / transports {
						clients <- client
					}
				}
				concurrently(t, requests, func() error { return fetch(<-clients, origin.targets()[way]) })
				require.EqualValues(t, requests, origin.requests.Load())
				const user = "ann@" + interop.KerberosRealm
				const granting = "krbtgt/" + interop.KerberosRealm + "@" + interop.KerberosRealm
				const service = "HTTP/" + interop.ProxyHost + "@" + interop.KerberosRealm
				require.Equal(t, []interop.KDCExchange{
					{Kind: "AS", Outcome: "NEEDED_PREAUTH", Client: user, Service: granting},
					{Kind: "AS", Outcome: "ISSUE", Client: user, Service: granting},
					{Kind: "TGS", Outcome: "ISSUE", Client: user, Service: service},
				}, kdc.Exchanges(t))
			})
		}
	}
}
