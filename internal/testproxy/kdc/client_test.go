package kdc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
)

const (
	realm   = "EXAMPLE.COM"
	service = "HTTP/proxy.example.com"
	secret  = "s3cret"
)

// everyEnctype is for a krb5.conf, which by gokrb5's defaults would leave half
// of them out.
const everyEnctype = "aes256-cts-hmac-sha384-192 aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96 aes128-cts-hmac-sha256-128 arcfour-hmac"

func annAndService() []kdc.Principal {
	return []kdc.Principal{{Name: "ann", Password: secret}, {Name: service}}
}

func start(t *testing.T, principals ...kdc.Principal) *kdc.KDC {
	t.Helper()
	return kdc.Start(t, kdc.Config{Principals: principals})
}

func loadConfig(t *testing.T, k *kdc.KDC, libdefaults ...string) *config.Config {
	t.Helper()
	lines := append([]string{
		"allow_weak_crypto = true",
		"default_tkt_enctypes = " + everyEnctype,
		"default_tgs_enctypes = " + everyEnctype,
		"permitted_enctypes = " + everyEnctype,
	}, libdefaults...)
	cfg, err := config.NewFromString(k.Krb5Conf(lines...))
	require.NoError(t, err)
	return cfg
}

func withPassword(t *testing.T, k *kdc.KDC, password string, libdefaults ...string) *client.Client {
	t.Helper()
	cl := client.NewWithPassword("ann", realm, password, loadConfig(t, k, libdefaults...), client.DisablePAFXFAST(true))
	t.Cleanup(cl.Destroy)
	return cl
}

func TestPasswordOfEachEnctype(t *testing.T) {
	for _, etype := range []int32{kdc.AES128SHA1, kdc.AES256SHA1, kdc.AES128SHA2, kdc.AES256SHA2, kdc.RC4} {
		for _, iterations := range []int{0, 5000, -1} {
			t.Run(fmt.Sprintf("%d with %d iterations", etype, iterations), func(t *testing.T) {
				k := kdc.Start(t, kdc.Config{Iterations: iterations, Principals: []kdc.Principal{
					{Name: "ann", Password: secret, Enctypes: []int32{etype}},
					{Name: "krbtgt/" + realm, Enctypes: []int32{etype}},
					{Name: service, Enctypes: []int32{etype}},
				}})
				cl := withPassword(t, k, secret)
				require.NoError(t, cl.Login())
				ticket, key, err := cl.GetServiceTicket(service)
				require.NoError(t, err)
				require.Equal(t, etype, key.KeyType)
				require.Equal(t, etype, ticket.EncPart.EType)
				require.Equal(t, kdc.Counts{
					ASRequests: 2, PreauthRequired: 1, TGTs: 1, TGSRequests: 1, ServiceTickets: 1,
				}, k.Counts("ann"))
				require.Equal(t, k.Total(), k.Counts("ann"))
			})
		}
	}
}

func TestMixedEnctypes(t *testing.T) {
	// What Active Directory does for an account without
	// msDS-SupportedEncryptionTypes.
	k := start(t,
		kdc.Principal{Name: "ann", Password: secret, Enctypes: []int32{kdc.AES256SHA2}},
		kdc.Principal{Name: service, Enctypes: []int32{kdc.RC4}, SessionEnctypes: []int32{kdc.AES256SHA1}},
	)
	cl := withPassword(t, k, secret)
	ticket, key, err := cl.GetServiceTicket(service)
	require.NoError(t, err)
	require.Equal(t, kdc.RC4, ticket.EncPart.EType)
	require.Equal(t, kdc.AES256SHA1, key.KeyType)
	require.Equal(t, kdc.AES256SHA2, k.Offered("ann")[0])
}

func TestKeytabOfRandomKeys(t *testing.T) {
	k := start(t, kdc.Principal{Name: "ann"}, kdc.Principal{Name: service})
	var kt keytab.Keytab
	require.NoError(t, kt.Unmarshal(k.Keytab("ann", "nobody")))
	require.Len(t, kt.Entries, 5)
	cl := client.NewWithKeytab("ann", realm, &kt, loadConfig(t, k), client.DisablePAFXFAST(true))
	defer cl.Destroy()
	_, _, err := cl.GetServiceTicket(service)
	require.NoError(t, err)
}

func TestSaltAndPasswordBeyondASCII(t *testing.T) {
	k := start(t, kdc.Principal{Name: "ann", Password: "päßwörd", Salt: "other"})
	require.NoError(t, withPassword(t, k, "päßwörd").Login())
}

func TestNoPreauth(t *testing.T) {
	k := start(t, kdc.Principal{Name: "ann", Password: secret, NoPreauth: true})
	require.NoError(t, withPassword(t, k, secret).Login())
	require.Equal(t, kdc.Counts{ASRequests: 1, TGTs: 1}, k.Counts("ann"))
}

func fromCCache(t *testing.T, k *kdc.KDC, c kdc.CCache) (*client.Client, error) {
	t.Helper()
	file, err := k.CCache(c)
	require.NoError(t, err)
	var cache credentials.CCache
	require.NoError(t, cache.Unmarshal(file))
	return client.NewFromCCache(&cache, loadConfig(t, k), client.DisablePAFXFAST(true))
}

func TestCCacheWithTGT(t *testing.T) {
	k := start(t, annAndService()...)
	cl, err := fromCCache(t, k, kdc.CCache{Client: "ann"})
	require.NoError(t, err)
	_, _, err = cl.GetServiceTicket(service)
	require.NoError(t, err)
	require.Equal(t, kdc.Counts{TGSRequests: 1, ServiceTickets: 1}, k.Counts("ann"))
}

func TestCCacheWithServiceTicket(t *testing.T) {
	k := start(t, annAndService()...)
	cl, err := fromCCache(t, k, kdc.CCache{Client: "ann", Services: []string{service}, Enctype: kdc.AES128SHA1})
	require.NoError(t, err)
	_, key, err := cl.GetServiceTicket(service)
	require.NoError(t, err)
	require.Equal(t, kdc.AES128SHA1, key.KeyType)
	require.Zero(t, k.Total())
}

func TestCCacheWithoutTGT(t *testing.T) {
	k := start(t, annAndService()...)
	_, err := fromCCache(t, k, kdc.CCache{Client: "ann", Services: []string{service}, NoTGT: true, NoConfig: true})
	require.ErrorContains(t, err, "TGT not found")
	_, err = k.CCache(kdc.CCache{Client: "ann", Services: []string{"HTTP/nowhere"}})
	require.ErrorContains(t, err, "no service")
}

func TestCCacheExpired(t *testing.T) {
	k := start(t, annAndService()...)
	cl, err := fromCCache(t, k, kdc.CCache{Client: "ann", Age: 2 * time.Hour, Life: time.Hour})
	require.NoError(t, err)
	require.Error(t, cl.Login())
	_, _, err = cl.GetServiceTicket(service)
	require.Error(t, err)
	require.Zero(t, k.Total().ServiceTickets)
}
