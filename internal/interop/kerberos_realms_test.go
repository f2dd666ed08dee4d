package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A proxy is in another realm than its users: either the users' krb5.conf says so, or their KDC
// refers them there.
func TestProxyInAnotherRealm(t *testing.T) {
	t.Parallel()
	users, services := interop.StartTrust(t, ann)
	proxy := startSquidNegotiate(t, services)
	for _, tc := range []struct{ desc, config string }{
		{"referred by the KDC", users.ConfigFile},
		{"by krb5.conf", users.Mapped(t, services)},
	} {
		for _, source := range ticketSources {
			t.Run(tc.desc+", "+source.desc, func(t *testing.T) {
				origin := newOrigin(t)
				scheme := &negotiate.Scheme{ConfigFile: tc.config, DisableNTLM: true}
				provider := source.configure(t, users, scheme)
				granted := len(services.Issued(t, "TGS"))
				requireWorks(t, user{origin: origin, proxy: proxy, via: proxy.URL, scheme: scheme, provider: provider}.client(t), origin)
				require.Len(t, services.Issued(t, "TGS"), granted+1)
				require.Equal(t, "ann@"+interop.KerberosRealm, services.Issued(t, "TGS")[granted].Client)
			})
		}
	}
	require.Empty(t, services.Issued(t, "AS"))
	require.Zero(t, users.PreauthFailures(t))
	services.Stop()
	client := user{
		origin: newOrigin(t), proxy: proxy, via: proxy.URL, provider: fixed(ann),
		scheme: &negotiate.Scheme{ConfigFile: users.ConfigFile, DisableNTLM: true},
	}.client(t)
	why := requireFailure(t, client, "http://origin.example.com/")
	require.Equal(t, proxyauth.CauseKerberosFailed, why.Cause)
	requireTried(t, why, negotiate.KDCUnreachable)
	require.ErrorContains(t, why, interop.ServiceRealm)
}
