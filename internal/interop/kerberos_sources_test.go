package interop_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// ticketSources are where ann's tickets come from, as a program sets it.
var ticketSources = []struct {
	desc      string
	configure func(*testing.T, *interop.KDC, *negotiate.Scheme) proxyauth.CredentialsProvider

	// logins is the number of ticket-granting tickets that are asked for.
	logins int
}{
	{
		desc: "password",
		configure: func(*testing.T, *interop.KDC, *negotiate.Scheme) proxyauth.CredentialsProvider {
			return fixed(ann)
		},
		logins: 1,
	},
	{
		desc: "password of a user with a realm",
		configure: func(*testing.T, *interop.KDC, *negotiate.Scheme) proxyauth.CredentialsProvider {
			return fixed(interop.Account{Username: ann.Username + "@" + interop.KerberosRealm, Password: ann.Password})
		},
		logins: 1,
	},
	{
		desc: "keytab",
		configure: func(t *testing.T, kdc *interop.KDC, scheme *negotiate.Scheme) proxyauth.CredentialsProvider {
			scheme.Keytab = kdc.Keytab(t, ann.Username)
			return nil
		},
		logins: 1,
	},
	{
		desc: "ticket cache",
		configure: func(t *testing.T, kdc *interop.KDC, scheme *negotiate.Scheme) proxyauth.CredentialsProvider {
			scheme.TicketCache = newTickets(t, kdc).Name
			return nil
		},
	},
}

func newTickets(t *testing.T, issuer interop.TicketIssuer) *interop.TicketCache {
	t.Helper()
	cache := interop.NewTicketCache(t, issuer)
	cache.Kinit(t, ann)
	return cache
}

func TestKerberos(t *testing.T) {
	t.Parallel()
	for _, tc := range kerberosProxies {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			proxy := tc.start(t, kdc)
			clients := 0
			for _, source := range ticketSources {
				for _, via := range urlsOf(proxy) {
					clients++
					scheme := &negotiate.Scheme{ConfigFile: kdc.ConfigFile}
					provider := source.configure(t, kdc, scheme)
					logins, tickets := len(kdc.Issued(t, "AS")), len(kdc.Issued(t, "TGS"))
					client := user{origin: origin, proxy: proxy, via: via, scheme: scheme, provider: provider}.client(t)
					requireWorks(t, client, origin)
					require.Len(t, kdc.Issued(t, "AS"), logins+source.logins, source.desc)
					require.Len(t, kdc.Issued(t, "TGS"), tickets+1, source.desc)
				}
			}
			proxy.Stop()
			if !tc.perRequest {
				// Of each client its first request alone is challenged.
				require.Len(t, proxy.Challenged(t), clients)
			}
		})
	}
}

// The environment is all that a program with the default schemes knows of
// Kerberos.
func TestKerberosFromTheEnvironment(t *testing.T) {
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc)
	t.Setenv("KRB5_CONFIG", kdc.ConfigFile)
	works := func(t *testing.T, via *url.URL) {
		requireWorks(t, user{origin: origin, proxy: proxy, via: via, scheme: &negotiate.Scheme{}}.client(t), origin)
	}
	t.Run("ticket cache", func(t *testing.T) {
		t.Setenv("KRB5CCNAME", newTickets(t, kdc).Name)
		works(t, proxy.URL)
	})
	t.Run("keytab", func(t *testing.T) {
		t.Setenv("KRB5_CLIENT_KTNAME", kdc.Keytab(t, ann.Username))
		works(t, proxy.TLSURL)
	})
	t.Run("neither", func(t *testing.T) {
		client := user{origin: origin, proxy: proxy, via: proxy.URL, scheme: &negotiate.Scheme{}}.client(t)
		for _, target := range origin.targets() {
			why := requireFailure(t, client, target)
			requireTried(t, why, negotiate.NoTicket)
			require.ErrorContains(t, why, "kinit")
		}
	})
}
