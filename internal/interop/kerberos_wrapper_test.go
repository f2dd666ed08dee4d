package interop_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// bob is not in the KDC's database.
var bob = interop.Account{Username: "bob", Password: "hunter2"}

// squid's wrapper takes tickets, or NTLM without SPNEGO around it.
func TestNegotiateWrapper(t *testing.T) {
	t.Parallel()
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	newUser := func(account interop.Account, proxy *interop.Proxy) user {
		return user{
			origin: origin, proxy: proxy, via: proxy.URL,
			scheme:   &negotiate.Scheme{ConfigFile: kdc.ConfigFile},
			provider: fixed(account),
		}
	}
	start := func(t *testing.T) *interop.Proxy {
		auth := interop.SquidNegotiateWrapper(kdc, newNTLMHelper(t))
		return interop.Squid{Auth: []interop.SquidAuth{auth}, TLS: true, Env: kdc.Env()}.Start(t)
	}
	ntlmAsks := interop.Leg{Status: http.StatusProxyAuthRequired, Authorized: true}
	tests := []struct {
		desc    string
		account interop.Account
		legs    []interop.Leg // of two connections with two requests each
	}{
		{
			desc:    "Kerberos",
			account: ann,
			legs:    []interop.Leg{asks, opens, goesOn, opens, goesOn},
		},
		{
			desc:    "NTLM",
			account: bob,
			legs:    []interop.Leg{asks, ntlmAsks, opens, goesOn, ntlmAsks, opens, goesOn},
		},
	}
	for _, tc := range tests {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy := start(t)
			client := newUser(tc.account, proxy).client(t)
			for range 2 {
				require.NoError(t, repeat(2, func() error { return fetch(client, origin.url) }))
				client.CloseIdleConnections()
			}
			proxy.Stop()
			legs := withoutTargets(proxy.Legs(t))
			for i := range legs {
				require.Equal(t, http.MethodGet, legs[i].Method)
				legs[i].Method = ""
			}
			require.Equal(t, tc.legs, legs)
		})
	}
	t.Run("both ways, http and https", func(t *testing.T) {
		t.Parallel()
		proxy := start(t)
		for _, via := range urlsOf(proxy) {
			for _, account := range []interop.Account{ann, bob} {
				u := newUser(account, proxy)
				u.via = via
				// squid tells its helpers nothing of TLS, and the one of
				// these tests doesn't take a binding that it can't check.
				u.scheme.InsecureOmitChannelBindings = account == bob
				requireWorks(t, u.client(t), origin)
			}
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		proxy := start(t)
		client := newUser(interop.Account{Username: bob.Username, Password: "guess"}, proxy).client(t)
		// NTLM has taken the place of Kerberos, since the KDC does not know him.
		refused := func(target string) error { return refusalAs(proxyauth.CauseKerberosFailed, client, target) }
		concurrently(t, lockoutWorkers, func() error { return refused(origin.url) })
		require.NoError(t, refused(origin.tlsURL))
		proxy.Stop()
		require.Equal(t, 2, authorized(proxy.Legs(t)), "NTLM's two messages, once")
	})
}
