package krb_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

const proxySPN = "HTTP/proxy.example.com"

// startKDC starts a KDC with ann, whose keys are made quickly, and a proxy.
func startKDC(t testing.TB, cfg kdc.Config) *kdc.KDC {
	t.Helper()
	ann := kdc.Principal{Name: "ann", Password: "s3cret", Enctypes: []int32{kdc.AES128SHA1}}
	cfg.Principals = append(cfg.Principals, ann, kdc.Principal{Name: proxySPN})
	return kdc.Start(t, cfg)
}

func cacheOf(t testing.TB, k *kdc.KDC, c kdc.CCache) []byte {
	t.Helper()
	c.Client = "ann"
	data, err := k.CCache(c)
	require.NoError(t, err)
	return data
}

func TestParseCache(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	owner, services, err := krb.ParseCache(cacheOf(t, k, kdc.CCache{Services: []string{proxySPN}}))
	require.NoError(t, err)
	require.Equal(t, "ann@EXAMPLE.COM", owner)
	require.Equal(t, []string{"krbtgt/EXAMPLE.COM", proxySPN}, services)
}

func TestParseKeytab(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
	owner, keys, err := krb.ParseKeytab(k.Keytab("bob"))
	require.NoError(t, err)
	require.Equal(t, "bob@EXAMPLE.COM", owner)
	require.Equal(t, 5, keys)
}

// Each length of a truncated file is an error or a shorter file, never a panic.
func TestTruncatedFiles(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
	cache, tab := cacheOf(t, k, kdc.CCache{}), k.Keytab("bob")
	for n := range cache {
		if _, services, err := krb.ParseCache(cache[:n]); err == nil {
			require.Less(t, len(services), 2)
		}
	}
	for n := range tab {
		if _, keys, err := krb.ParseKeytab(tab[:n]); err == nil {
			require.Less(t, keys, 5)
		}
	}
}

// What stands before an entry that is torn counts, wherever it is torn: another program
// may be about to write it.
func TestCacheCountsUpToATornEntry(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	one := cacheOf(t, k, kdc.CCache{})
	both := cacheOf(t, k, kdc.CCache{Services: []string{proxySPN}})
	for n := len(one); n < len(both); n++ {
		owner, services, err := krb.ParseCache(both[:n])
		require.NoError(t, err, n)
		require.Equal(t, "ann@EXAMPLE.COM", owner)
		require.Equal(t, []string{"krbtgt/EXAMPLE.COM"}, services)
	}
	config := configOf(t, k)
	config.CacheName = write(t, "cc", string(both[:len(both)-1]))
	require.NoError(t, ask(t, krb.NewClient(config), krb.User{}))
}

// The same holds for a keytab, which may be padded with zeros, too: a length of zero ends it.
func TestKeytabCountsUpToATornEntry(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
	bob := k.Keytab("bob")
	hole := append([]byte{0xff, 0xff, 0xff, 0xf6}, make([]byte, 10)...)
	for _, tc := range []struct {
		desc string
		tail []byte
	}{
		{"nothing", nil},
		{"a hole", hole},
		{"a torn hole", hole[:8]},
		{"the longest hole", []byte{0x80, 0, 0, 0}},
		{"a zero", []byte{0}},
		{"zeros", make([]byte, 99)},
		{"what stands behind a length of zero", append(make([]byte, 4), "left over"...)},
	} {
		owner, keys, err := krb.ParseKeytab(slices.Concat(bob, tc.tail))
		require.NoError(t, err, tc.desc)
		require.Equal(t, "bob@EXAMPLE.COM", owner, tc.desc)
		require.Equal(t, 5, keys, tc.desc)
	}
	both := k.Keytab("bob", "ann")
	for n := len(bob); n < len(both); n++ {
		_, keys, err := krb.ParseKeytab(both[:n])
		require.NoError(t, err, n)
		require.Equal(t, 5, keys)
	}
	for n := 2; n < 30; n++ { // of the first entry
		_, keys, err := krb.ParseKeytab(bob[:n])
		require.Equal(t, n > 2, err != nil, n)
		require.Zero(t, keys)
	}
	config := configOf(t, k)
	config.KeytabName = write(t, "keytab", string(both[:len(both)-1]))
	require.NoError(t, ask(t, krb.NewClient(config), krb.User{}))
}

func FuzzParseCacheDoesNotPanic(f *testing.F) {
	k := startKDC(f, kdc.Config{})
	f.Add([]byte(nil))
	f.Add([]byte{5, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1})
	f.Add([]byte{5, 1, 0xff, 0xff, 0xff, 0xff})
	f.Add(cacheOf(f, k, kdc.CCache{Services: []string{proxySPN}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		owner, _, err := krb.ParseCache(data)
		if err == nil {
			require.NotEqual(t, "@", owner)
		}
	})
}

func FuzzParseKeytabDoesNotPanic(f *testing.F) {
	k := startKDC(f, kdc.Config{})
	f.Add([]byte(nil))
	f.Add([]byte{5, 2, 0x80, 0, 0, 0})
	f.Add([]byte{5, 2, 0xff, 0xff, 0xff, 0xf0, 1})
	f.Add(k.Keytab("ann", proxySPN))
	f.Fuzz(func(_ *testing.T, data []byte) { krb.ParseKeytab(data) })
}

func containsInclude(data []byte) bool { return bytes.Contains(data, []byte("include")) }

func FuzzParseProfileDoesNotPanic(f *testing.F) {
	f.Add([]byte(conf))
	f.Add([]byte("[a]\nb = {\nc* = \"d"))
	f.Add([]byte("module x\n[a]\nb =\n{\nc = d\n}\n{"))
	f.Add([]byte("[libdefaults]\nclockskew = 99999999999d\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		// An include would read whatever the fuzzer names.
		if !containsInclude(data) {
			krb.ParseProfile(data)
		}
	})
}
