package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

func TestKerberosLargeBody(t *testing.T) {
	t.Parallel()
	for _, tc := range kerberosProxies {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			proxy := tc.start(t, kdc)
			scheme := &negotiate.Scheme{ConfigFile: kdc.ConfigFile, TicketCache: newTickets(t, kdc).Name}
			var sent, probes int64
			for _, via := range urlsOf(proxy) {
				for way, target := range origin.targets() {
					for _, body := range bodies {
						desc := via.Scheme + " proxy, " + way + ", " + body.desc
						if way == "forwarded" && !tc.perRequest {
							probes++ // of whether its ticket stands for the connection
						}
						client := user{origin: origin, proxy: proxy, via: via, scheme: scheme}.client(t)
						for range 3 {
							sent++
							requireArrives(t, client, target, body.request(t, target), desc)
						}
					}
				}
			}
			require.Equal(t, sent, origin.bodies.Load(), "each body arrives once")
			require.LessOrEqual(t, origin.requests.Load(), sent+probes)
		})
	}
}
