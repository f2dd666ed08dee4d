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

// The users' KDC does not know the way to the proxies' realm. The users' krb5.conf does.
func TestProxyBehindAnotherRealm(t *testing.T) {
	t.Parallel()
	users, services := interop.StartTrustChain(t, ann)
	for _, tc := range kerberosProxies {
		t.Run(tc.desc, func(t *testing.T) {
			origin, proxy := newOrigin(t), tc.start(t, services)
			for _, via := range urlsOf(proxy) {
				scheme := &negotiate.Scheme{ConfigFile: users.ConfigFile, DisableNTLM: true}
				requireWorks(t, user{origin: origin, proxy: proxy, via: via, scheme: scheme, provider: fixed(ann)}.client(t), origin)
			}
		})
	}
	require.Len(t, users.Issued(t, "AS"), len(services.Issued(t, "TGS")))
}

// The users are in a domain and the proxies in a realm of MIT's. The domain's KDC refers there by
// the proxy's name, or else krb5.conf names the realm, or the proxy's own domain has its name.
func TestProxyInAnotherRealmThanDomain(t *testing.T) {
	t.Parallel()
	users, services := interop.StartDomainTrust(t, ann)
	for _, trust := range []struct {
		desc   string
		trust  interop.Trust
		config string
	}{
		{"referred by the domain", interop.ForestTrust, users.ConfigFile},
		{"by krb5.conf", interop.ExternalTrust, users.Mapped(t, services)},
		{"by the name of the proxy", interop.ExternalTrust, users.ConfigFile},
	} {
		users.Trust(t, services, trust.trust)
		for _, tc := range kerberosProxies {
			t.Run(trust.desc+", "+tc.desc, func(t *testing.T) {
				origin, proxy := newOrigin(t), tc.start(t, services)
				for _, source := range []struct {
					desc     string
					cache    string
					provider proxyauth.CredentialsProvider
				}{
					{desc: "password", provider: fixed(ann)},
					{desc: "ticket cache", cache: newTickets(t, users).Name},
				} {
					scheme := &negotiate.Scheme{ConfigFile: trust.config, TicketCache: source.cache, DisableNTLM: true}
					granted := len(services.Issued(t, "TGS"))
					for _, via := range urlsOf(proxy) {
						requireWorks(t, user{origin: origin, proxy: proxy, via: via, scheme: scheme, provider: source.provider}.client(t), origin)
					}
					require.Len(t, services.Issued(t, "TGS"), granted+1, source.desc)
					require.Equal(t, "ann@"+interop.DomainRealm, services.Issued(t, "TGS")[granted].Client)
				}
			})
		}
	}
	require.Empty(t, services.Issued(t, "AS"))
	require.Equal(t, "0", users.BadPasswords(t, ann.Username))
}

// Users and proxies are in domains of two forests.
func TestProxyInAnotherForest(t *testing.T) {
	t.Parallel()
	users, services := interop.StartForestTrust(t, ann)
	origin, proxy := newOrigin(t), startSquidNegotiate(t, services)
	for _, via := range urlsOf(proxy) {
		for _, account := range []interop.Account{ann, {Username: `LAB\ann`, Password: ann.Password}} {
			scheme := &negotiate.Scheme{ConfigFile: users.ConfigFile, DisableNTLM: true}
			requireWorks(t, user{origin: origin, proxy: proxy, via: via, scheme: scheme, provider: fixed(account)}.client(t), origin)
		}
	}
	require.Equal(t, "0", users.BadPasswords(t, ann.Username))
}
