package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A proxy with an old keytab refuses the ticket, which is no refusal of a
// password.
func TestTicketRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range kerberosProxies {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			proxy := tc.start(t, kdc)
			kdc.ChangeProxyKey(t)
			for way, target := range origin.targets() {
				client := user{
					origin: origin, proxy: proxy, via: proxy.URL,
					scheme: &negotiate.Scheme{ConfigFile: kdc.ConfigFile, TicketCache: newTickets(t, kdc).Name},
				}.client(t)
				why := requireFailure(t, client, target)
				require.ErrorIs(t, why, negotiate.TicketRefused, way)
			}
			require.Zero(t, origin.requests.Load())
		})
	}
}

func TestTicketRefusedFallsBackToBasic(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc, interop.SquidBasic(ann))
	kdc.ChangeProxyKey(t)
	for way, target := range origin.targets() {
		for _, disabled := range []bool{true, false} {
			client := user{
				origin: origin, proxy: proxy, via: proxy.URL,
				scheme:   &negotiate.Scheme{ConfigFile: kdc.ConfigFile, DisableNTLM: disabled},
				provider: fixed(ann),
			}.client(t)
			require.NoError(t, fetch(client, target), "%s, NTLM disabled: %t", way, disabled)
		}
	}
	require.Zero(t, kdc.PreauthFailures(t))
}

// The ticket is from before the proxy's key was changed, and so a new one helps.
func TestTicketOfAnOldKeyIsReplaced(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"forwarded", "tunnelled"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			tickets := newTickets(t, kdc)
			tickets.GetProxyTicket(t)
			kdc.RenewProxyKey(t)
			proxy := startSquidNegotiate(t, kdc)
			client := user{
				origin: origin, proxy: proxy, via: proxy.URL,
				scheme: &negotiate.Scheme{ConfigFile: kdc.ConfigFile, TicketCache: tickets.Name},
			}.client(t)
			require.NoError(t, repeat(3, func() error { return fetch(client, origin.targets()[way]) }))
			client.CloseIdleConnections()
			proxy.Stop()
			require.Equal(t, 2, authorized(proxy.Legs(t)), "the old ticket and the new one")
			require.Len(t, kdc.Issued(t, "TGS"), 2)
		})
	}
}
