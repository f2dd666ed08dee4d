package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// The KDC of a domain controller of Samba's counts wrong passwords as Active Directory does.
func TestKerberosAgainstDomainController(t *testing.T) {
	t.Parallel()
	domain, origin := interop.StartDomain(t, ann, bob), newOrigin(t)
	proxy := startSquidNegotiate(t, domain)
	for _, account := range []interop.Account{
		ann,
		{Username: "ann@" + interop.DomainRealm, Password: ann.Password},
		{Username: `LAB\ann`, Password: ann.Password},
		{Username: "ANN@lab.test", Password: ann.Password},
		bob,
	} {
		for _, via := range urlsOf(proxy) {
			scheme := &negotiate.Scheme{ConfigFile: domain.ConfigFile, DisableNTLM: true}
			requireWorks(t, user{origin: origin, proxy: proxy, via: via, scheme: scheme, provider: fixed(account)}.client(t), origin)
		}
	}
	require.Equal(t, "0", domain.BadPasswords(t, ann.Username))

	served := origin.requests.Load()
	client := user{
		origin: origin, proxy: proxy, via: proxy.URL, provider: fixed(wrong),
		scheme: &negotiate.Scheme{ConfigFile: domain.ConfigFile},
	}.client(t)
	for _, target := range origin.targets() {
		concurrently(t, lockoutWorkers, func() error { return refusal(client, target) })
		require.Equal(t, "1", domain.BadPasswords(t, wrong.Username))
	}
	require.Equal(t, served, origin.requests.Load())
	require.Equal(t, "0", domain.BadPasswords(t, bob.Username))
}
