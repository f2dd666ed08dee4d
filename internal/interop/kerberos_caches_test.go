package interop_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A cacheKind is a way to keep tickets.
type cacheKind struct {
	desc string
	new  func(*testing.T, interop.TicketIssuer) *interop.TicketCache

	// collection says that the name is that of several caches.
	collection bool
}

// unique returns a name that nobody else uses.
func unique(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

func inSSSD(name string) func(*testing.T, interop.TicketIssuer) *interop.TicketCache {
	return func(t *testing.T, kdc interop.TicketIssuer) *interop.TicketCache {
		return interop.NewKCMCache(t, kdc, interop.StartSSSDKCM(t), name)
	}
}

func inHeimdal(name string) func(*testing.T, interop.TicketIssuer) *interop.TicketCache {
	return func(t *testing.T, kdc interop.TicketIssuer) *interop.TicketCache {
		return interop.NewKCMCache(t, kdc, interop.StartHeimdalKCM(t), name)
	}
}

func inKeyring(prefix string) func(*testing.T, interop.TicketIssuer) *interop.TicketCache {
	return func(t *testing.T, kdc interop.TicketIssuer) *interop.TicketCache {
		return interop.NewKeyringCache(t, kdc, unique(prefix))
	}
}

var cacheKinds = []cacheKind{
	{desc: "FILE", new: func(t *testing.T, kdc interop.TicketIssuer) *interop.TicketCache {
		return interop.NewTicketCache(t, kdc)
	}},
	{desc: "DIR", new: func(t *testing.T, kdc interop.TicketIssuer) *interop.TicketCache {
		cache := interop.NewTicketCache(t, kdc)
		cache.Name = "DIR:" + t.TempDir()
		return cache
	}, collection: true},
	{desc: "KCM of sssd", new: inSSSD(""), collection: true},
	{desc: "KCM of sssd, a cache", new: inSSSD("0:work")},
	{desc: "KCM of Heimdal", new: inHeimdal(""), collection: true},
	{desc: "KCM of Heimdal, a cache", new: inHeimdal("0:work")},
	{desc: "KEYRING of the session", new: inKeyring("session:"), collection: true},
	{desc: "KEYRING of the session, a cache", new: inKeyring("session:proxyauth:")},
	{desc: "KEYRING without an anchor", new: inKeyring(""), collection: true},
	{desc: "KEYRING of the user", new: inKeyring("user:"), collection: true},
	{desc: "KEYRING that persists", new: func(t *testing.T, kdc interop.TicketIssuer) *interop.TicketCache {
		return interop.NewKeyringCache(t, kdc, "persistent:")
	}, collection: true},
	{desc: "KEYRING that persists, a cache", new: inKeyring("persistent::")},
}

// eachCacheKind runs a test with a cache of each kind, which the environment names.
func eachCacheKind(t *testing.T, kdc interop.TicketIssuer, f func(*testing.T, cacheKind, *interop.TicketCache)) {
	t.Helper()
	for _, kind := range cacheKinds {
		t.Run(kind.desc, func(t *testing.T) {
			cache := kind.new(t, kdc)
			t.Setenv("KRB5_CONFIG", cache.ConfigFile)
			t.Setenv("KRB5CCNAME", cache.Name)
			f(t, kind, cache)
		})
	}
}

// ticketClient returns a client that knows of nothing but the environment and, if it is not
// empty, a user's name.
func ticketClient(t *testing.T, origin *origin, proxy *interop.Proxy, username string) *http.Client {
	t.Helper()
	u := user{origin: origin, proxy: proxy, via: proxy.URL, change: func(rt *proxyauth.Transport) { rt.Schemes = schemes.Default() }}
	if username != "" {
		u.provider = fixed(interop.Account{Username: username})
	}
	return u.client(t)
}

func TestTicketCachesOfEachKind(t *testing.T) {
	kdc, origin := interop.StartKDC(t, ann, bob), newOrigin(t)
	proxies := []*interop.Proxy{startSquidNegotiate(t, kdc), startApacheGSSAPI(t, kdc, interop.PerConnection)}
	eachCacheKind(t, kdc, func(t *testing.T, _ cacheKind, cache *interop.TicketCache) {
		cache.Kinit(t, ann)
		before := len(kdc.Issued(t, "TGS"))
		for _, proxy := range proxies {
			requireWorks(t, ticketClient(t, origin, proxy, ""), origin)
		}
		require.Len(t, kdc.Issued(t, "TGS"), before+len(proxies))

		// The cache is left as it was: a ticket that kvno gets is the one that is used.
		cache.GetProxyTicket(t)
		require.NoError(t, fetch(ticketClient(t, origin, proxies[0], ""), origin.url))
		require.Len(t, kdc.Issued(t, "TGS"), before+len(proxies)+1)
	})
}

// Tickets of a Samba domain controller, which is Heimdal's KDC.
func TestTicketCachesOfEachKindAgainstDomainController(t *testing.T) {
	domain, origin := interop.StartDomain(t, ann), newOrigin(t)
	proxy := startSquidNegotiate(t, domain)
	eachCacheKind(t, domain, func(t *testing.T, _ cacheKind, cache *interop.TicketCache) {
		cache.Kinit(t, ann)
		requireWorks(t, ticketClient(t, origin, proxy, ""), origin)
	})
}

// One client sees what happens to its cache.
func TestTicketCachesThatChange(t *testing.T) {
	kdc, origin := interop.StartKDC(t, ann, bob), newOrigin(t)
	proxy := startSquidNegotiate(t, kdc)
	eachCacheKind(t, kdc, func(t *testing.T, kind cacheKind, cache *interop.TicketCache) {
		client := ticketClient(t, origin, proxy, "")
		again := func() error { // on a new connection
			client.CloseIdleConnections()
			return fetch(client, origin.tlsURL)
		}
		fails := func(code string) {
			t.Helper()
			client.CloseIdleConnections()
			why := requireFailure(t, client, origin.tlsURL)
			require.Equal(t, proxyauth.CauseTicketMissing, why.Cause, "%v", why)
			require.ErrorContains(t, why, code)
		}
		lastUser := func() string {
			issued := kdc.Issued(t, "TGS")
			return issued[len(issued)-1].Client
		}
		fails("no Kerberos credentials")
		cache.Kinit(t, ann)
		require.NoError(t, again())
		cache.Kdestroy(t)
		fails("no Kerberos credentials")
		cache.KinitExpired(t, ann)
		fails("expired")
		cache.Kinit(t, bob)
		require.NoError(t, again())
		require.Equal(t, "bob@"+interop.KerberosRealm, lastUser())
		cache.Kdestroy(t)
		if !kind.collection {
			return
		}

		cache.Kinit(t, ann)
		cache.Add(t, bob)
		require.NoError(t, again())
		require.Equal(t, "bob@"+interop.KerberosRealm, lastUser(), "the primary cache")
		require.NoError(t, fetch(ticketClient(t, origin, proxy, ann.Username), origin.url))
		require.Equal(t, "ann@"+interop.KerberosRealm, lastUser(), "the cache of the user who was asked for")
		cache.Kswitch(t, ann)
		issued := len(kdc.Issued(t, "TGS"))
		require.NoError(t, again())
		require.Len(t, kdc.Issued(t, "TGS"), issued+1)
		require.Equal(t, "ann@"+interop.KerberosRealm, lastUser(), "after kswitch")
		why := requireFailure(t, ticketClient(t, origin, proxy, "carl"), origin.tlsURL)
		require.ErrorContains(t, why, "another user's")
	})
}

// kinit -R empties a cache before it fills it again. No request fails for that.
func TestTicketCachesThatAreRenewed(t *testing.T) {
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	proxy := startApacheGSSAPI(t, kdc, interop.PerRequest)
	eachCacheKind(t, kdc, func(t *testing.T, _ cacheKind, cache *interop.TicketCache) {
		cache.Kinit(t, ann, "-r", "1d")
		client := ticketClient(t, origin, proxy, "")
		var done atomic.Bool
		var requests atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for !done.Load() {
					if err := fetch(client, origin.url); err != nil {
						t.Error(err)
						return
					}
					requests.Add(1)
				}
			})
		}
		for range 10 {
			cache.Renew(t)
		}
		done.Store(true)
		wg.Wait()
		t.Log(requests.Load(), "requests")
		require.NotZero(t, requests.Load())
	})
}

// Keys belong to a user, and so do caches.
func TestTicketCachesOfAnOrdinaryUser(t *testing.T) {
	interop.RunAsServer(t, "^TestTicketCachesThatChange$/KEYRING")
}

// otherUserVariable names the krb5.conf for the process of TestTicketCachesOfAnotherUser that
// has no privileges.
const otherUserVariable = "PROXYAUTH_TEST_OTHER_USER"

func TestTicketCachesOfAnotherUser(t *testing.T) {
	if config := os.Getenv(otherUserVariable); config != "" {
		requireOthersAreRefused(t, config)
		return
	}
	kdc := interop.StartKDC(t, ann, bob)
	persistent := interop.NewKeyringCache(t, kdc, "persistent:")
	persistent.Kinit(t, ann)
	for _, start := range []func(testing.TB) *interop.KCM{interop.StartSSSDKCM, interop.StartHeimdalKCM} {
		cache := interop.NewKCMCache(t, kdc, start(t), "")
		cache.Kinit(t, ann)
		interop.RunAsServer(t, "^"+t.Name()+"$", otherUserVariable+"="+cache.ConfigFile)
	}
}

// requireOthersAreRefused requires that root's caches are refused, and the user's own is read.
func requireOthersAreRefused(t *testing.T, config string) {
	t.Helper()
	ex := proxyauth.Exchange{Proxy: &url.URL{Scheme: "http", Host: interop.ProxyHost + ":3128"}}
	for _, name := range []string{"KCM:0", "KEYRING:persistent:0"} {
		_, err := (&negotiate.Scheme{ConfigFile: config, TicketCache: name}).NewSession(t.Context(), ex)
		require.ErrorIs(t, err, negotiate.NoTicket)
		require.ErrorContains(t, err, name+" is another user's")
	}
	scheme := &negotiate.Scheme{ConfigFile: config, TicketCache: "KCM:"}
	_, err := scheme.NewSession(t.Context(), ex)
	require.ErrorContains(t, err, "there is no KCM:")

	cmd := exec.CommandContext(t.Context(), "kinit", "-c", "KCM:", bob.Username)
	cmd.Env = append(cmd.Environ(), "KRB5_CONFIG="+config)
	cmd.Stdin = strings.NewReader(bob.Password + "\n")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	_, err = scheme.NewSession(t.Context(), ex)
	require.NoError(t, err)
}
