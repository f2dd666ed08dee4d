package interop_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
)

// A domain controller of Samba's own verifies what the tests' helpers only
// compare with one password.
func TestNTLMAgainstDomainController(t *testing.T) {
	t.Parallel()
	joerg := interop.Account{Username: "jörg", Password: "pä:ss wörd €"}
	domain := interop.StartDomain(t, ann, bob, joerg)
	proxy := squidNTLM(interop.SquidNTLM{Domain: domain}).Start(t)
	origin := newOrigin(t)
	for _, account := range []interop.Account{
		ann,
		bob,
		joerg,
		{Username: `LAB\ann`, Password: ann.Password},
		{Username: `lab.test\ann`, Password: ann.Password},
		{Username: "ann@lab.test", Password: ann.Password},
		{Username: `LAB\JÖRG`, Password: joerg.Password},
	} {
		for _, via := range urlsOf(proxy) {
			requireWorks(t, newNTLMClient(t, origin, proxy, via, account), origin)
		}
	}
	require.Equal(t, "0", domain.BadPasswords(t, ann.Username))

	served := origin.requests.Load()
	for _, account := range []interop.Account{wrong, {Username: `NOSUCH\bob`, Password: bob.Password}} {
		client := newNTLMClient(t, origin, proxy, proxy.URL, account)
		requireForwardRefused(t, client, origin, http.StatusProxyAuthRequired)
		requireTunnelRefused(t, client, origin)
	}
	client := newNTLMClient(t, origin, proxy, proxy.TLSURL, wrong)
	targets := origin.targets()
	concurrently(t, lockoutWorkers, func() error { return refusal(client, targets["forwarded"]) })
	require.Equal(t, served, origin.requests.Load())
	require.Equal(t, "2", domain.BadPasswords(t, ann.Username), "one of each client")
}
