package interop_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// What a leg carries and how it is answered.
var (
	asks     = interop.Leg{Status: http.StatusProxyAuthRequired}
	opens    = interop.Leg{Status: http.StatusOK, Authorized: true}
	goesOn   = interop.Leg{Status: http.StatusOK}
	cold     = []interop.Leg{asks, opens, goesOn, goesOn}
	warm     = []interop.Leg{opens, goesOn, goesOn}
	coldOpen = []interop.Leg{asks, opens}
	warmOpen = []interop.Leg{opens}
)

// Two legs cold, one on a new connection, and no header on the same one.
func TestKerberosLegs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		desc       string
		way        string
		method     string
		preemptive bool
		legs       [3][]interop.Leg // of three connections with three requests each
	}{
		{desc: "forwarded", way: "forwarded", method: http.MethodGet, legs: [3][]interop.Leg{cold, warm, warm}},
		{desc: "tunnelled", way: "tunnelled", method: http.MethodConnect, legs: [3][]interop.Leg{coldOpen, warmOpen, warmOpen}},
		// That a ticket has passed which nobody asked for says nothing: the proxy is
		// asked once.
		{
			desc: "forwarded, preemptive", way: "forwarded", method: http.MethodGet, preemptive: true,
			legs: [3][]interop.Leg{warm, cold, warm},
		},
		{
			desc: "tunnelled, preemptive", way: "tunnelled", method: http.MethodConnect, preemptive: true,
			legs: [3][]interop.Leg{warmOpen, coldOpen, warmOpen},
		},
	}
	for _, p := range kerberosProxies {
		if p.perRequest {
			continue
		}
		t.Run(p.desc, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			for _, tc := range tests {
				t.Run(tc.desc, func(t *testing.T) {
					t.Parallel()
					proxy := p.start(t, kdc)
					client := user{
						origin: origin, proxy: proxy, via: proxy.URL,
						scheme:   &negotiate.Scheme{ConfigFile: kdc.ConfigFile},
						provider: fixed(ann),
						change:   func(rt *proxyauth.Transport) { rt.Preemptive = tc.preemptive },
					}.client(t)
					for range tc.legs {
						require.NoError(t, repeat(3, func() error { return fetch(client, origin.targets()[tc.way]) }))
						client.CloseIdleConnections()
					}
					proxy.Stop()
					var want []interop.Leg
					for _, leg := range slices.Concat(tc.legs[:]...) {
						leg.Method = tc.method
						want = append(want, leg)
					}
					got := withoutTargets(proxy.Legs(t))
					if tc.method == http.MethodConnect || tc.preemptive { // logged when they end: of two connections in any order
						require.ElementsMatch(t, want, got)
						return
					}
					require.Equal(t, want, got)
				})
			}
		})
	}
}

// withoutTargets returns legs without what squid and Apache log differently, and without
// their connections.
func withoutTargets(legs []interop.Leg) []interop.Leg {
	for i := range legs {
		legs[i].Target, legs[i].Conn = "", ""
	}
	return legs
}

// Each request on a connection needs a token of its own, which Apache takes but
// once.
func TestKerberosPerRequest(t *testing.T) {
	t.Parallel()
	const requests = 20
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startApacheGSSAPI(t, kdc, interop.PerRequest)
	client := user{
		origin: origin, proxy: proxy, via: proxy.URL,
		scheme:   &negotiate.Scheme{ConfigFile: kdc.ConfigFile},
		provider: fixed(ann),
	}.client(t)
	require.NoError(t, repeat(requests, func() error { return fetch(client, origin.url) }))
	require.EqualValues(t, requests, origin.requests.Load())
	proxy.Stop()
	require.Equal(t, requests, authorized(proxy.Legs(t)))
	// The first, and the one that finds out that a connection is not enough.
	require.LessOrEqual(t, len(proxy.Challenged(t)), 2)
	require.Len(t, kdc.Issued(t, "TGS"), 1, "a token is no reason for a new ticket")
}
