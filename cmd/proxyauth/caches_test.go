package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
)

// doctor shows caches that are no files, and all of a collection.
func TestTicketCachesAreShown(t *testing.T) {
	t.Parallel()
	bob := interop.Account{Username: "bob", Password: "another"}
	kdc := interop.StartKDC(t, ann, bob)
	proxy := interop.Squid{Auth: []interop.SquidAuth{interop.SquidNegotiate(kdc)}, Env: kdc.Env()}.Start(t)
	plain, _, _ := realOrigins(t)
	for _, tc := range []struct {
		desc  string
		cache *interop.TicketCache
		first string // what the name of the cache that is read begins with
	}{
		{"sssd", interop.NewKCMCache(t, kdc, interop.StartSSSDKCM(t), ""), "KCM:0:"},
		{"Heimdal", interop.NewKCMCache(t, kdc, interop.StartHeimdalKCM(t), ""), "KCM:0:"},
		{"keyring", interop.NewKeyringCache(t, kdc, "session:proxyauth_doctor"), "KEYRING:session:proxyauth_doctor:"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			tc.cache.Kinit(t, ann)
			tc.cache.Add(t, bob)
			env := []string{"KRB5_CONFIG=" + tc.cache.ConfigFile, "KRB5CCNAME=" + tc.cache.Name}
			report := command{args: []string{"doctor", "-proxy", proxy.URL.String(), "-spn", "HTTP/" + interop.ProxyHost, plain}, env: env}.json(t)
			require.Equal(t, "works", report.Verdict.Cause, "%+v", report)
			caches := report.Kerberos.Caches
			require.GreaterOrEqual(t, len(caches), 2)
			require.Regexp(t, "^"+tc.first, caches[0].Name)
			require.Equal(t, "KRB5CCNAME", caches[0].From)
			require.Equal(t, "bob@"+interop.KerberosRealm, caches[0].Principal)
			require.Equal(t, "ann@"+interop.KerberosRealm, caches[1].Principal)
			require.False(t, caches[1].Expires.IsZero())
		})
	}
}
