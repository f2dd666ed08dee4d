package krb_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

func TestTicketCache(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	path := filepath.Join(t.TempDir(), "cc")
	t.Setenv("KRB5CCNAME", "FILE:"+path)
	c := krb.NewClient(config)
	require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrNoTicket)

	put := func(cc kdc.CCache) {
		t.Helper()
		// As kinit does: a new file takes the place of the old one.
		require.NoError(t, os.WriteFile(path+".new", cacheOf(t, k, cc), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	put(kdc.CCache{})
	require.NoError(t, ask(t, c, krb.User{}))
	require.NoError(t, ask(t, c, krb.User{}))
	require.Equal(t, 1, k.Total().TGSRequests)

	put(kdc.CCache{Age: time.Hour, Life: time.Minute})
	err := ask(t, c, krb.User{})
	require.ErrorIs(t, err, krb.ErrTicketExpired)
	require.ErrorContains(t, err, "kinit")

	put(kdc.CCache{Services: []string{proxySPN}})
	require.NoError(t, ask(t, c, krb.User{}))
	require.Equal(t, 1, k.Total().TGSRequests, "the ticket in the cache is used")

	put(kdc.CCache{Services: []string{proxySPN}, NoTGT: true})
	require.NoError(t, ask(t, c, krb.User{}))

	require.NoError(t, os.Remove(path)) // kdestroy
	require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrNoTicket)
	require.Zero(t, k.Total().ASRequests)
}

func TestCacheOfAnotherUserIsLeftAlone(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
	config := configOf(t, k)
	config.CacheName = filepath.Join(t.TempDir(), "cc")
	require.NoError(t, os.WriteFile(config.CacheName, cacheOf(t, k, kdc.CCache{}), 0o600))
	c := krb.NewClient(config)
	require.NoError(t, ask(t, c, user("ann@example.com", "wrong")))
	require.Zero(t, k.Total().ASRequests)
	require.NoError(t, ask(t, c, user("bob", "pa55")))
	require.Equal(t, 1, k.Counts("bob").TGTs)
	require.ErrorIs(t, ask(t, c, user("bob", "")), krb.ErrNoTicket)
}

func TestExpiredCacheMakesRoomForThePassword(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.CacheName = filepath.Join(t.TempDir(), "cc")
	require.NoError(t, os.WriteFile(config.CacheName, cacheOf(t, k, kdc.CCache{Age: time.Hour, Life: time.Minute}), 0o600))
	require.NoError(t, ask(t, krb.NewClient(config), user("ann", "s3cret")))
}

func TestCacheThatCanNotBeRead(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	for _, tc := range []struct {
		name string
		want error
	}{
		{"API:", krb.ErrCacheType},
		{write(t, "cc", ""), krb.ErrMalformedFile},
		{write(t, "cc", "\x05\x04\x00"), krb.ErrMalformedFile},
	} {
		config.CacheName = tc.name
		err := ask(t, krb.NewClient(config), krb.User{})
		require.ErrorIs(t, err, tc.want)
		require.NotErrorIs(t, err, krb.ErrNoTicket)
		require.NoError(t, ask(t, krb.NewClient(config), user("ann", "s3cret")))
	}
}

// A file that can't be opened leaves the other sources, and is told if none does.
func TestFilesThatCanNotBeOpened(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	file := write(t, "file", "")
	for _, tc := range []struct {
		desc, cache, keytab, want string
	}{
		{"below a file", file + "/cc", "", file},
		{"a name that can't be", "a\x00b", "", "invalid argument"},
		{"a directory below a file", "DIR:" + file, "", file},
		{"a keytab below a file", "", file + "/keytab", file},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			config := configOf(t, k)
			config.CacheName, config.KeytabName = tc.cache, tc.keytab
			c := krb.NewClient(config)
			require.NoError(t, ask(t, c, user("ann", "s3cret")))
			err := ask(t, c, krb.User{})
			require.ErrorIs(t, err, krb.ErrNoTicket)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "check its path, its owner and its mode")

			config.KeytabName = write(t, "keytab", string(k.Keytab("ann")))
			if tc.keytab == "" {
				require.NoError(t, ask(t, krb.NewClient(config), krb.User{}), "there is a keytab")
			}
		})
	}
}

// What is in a cache besides its owner's tickets is not the owner's to use.
func TestTicketsOfAnotherClientAreLeftOut(t *testing.T) {
	for _, tc := range []struct {
		desc string
		cc   kdc.CCache
	}{
		{"a service's ticket", kdc.CCache{NoTGT: true, Services: []string{proxySPN}}},
		{"a ticket-granting ticket", kdc.CCache{}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
			entries := func(of string) []byte {
				empty, err := k.CCache(kdc.CCache{Client: of, NoTGT: true, NoConfig: true})
				require.NoError(t, err)
				tc.cc.Client, tc.cc.NoConfig = of, true
				full, err := k.CCache(tc.cc)
				require.NoError(t, err)
				return full[len(empty):]
			}
			empty, err := k.CCache(kdc.CCache{Client: "ann", NoTGT: true, NoConfig: true})
			require.NoError(t, err)
			config := configOf(t, k)

			config.CacheName = write(t, "cc", string(empty)+string(entries("bob")))
			require.ErrorIs(t, ask(t, krb.NewClient(config), krb.User{}), krb.ErrTicketExpired)
			require.Zero(t, k.Counts("bob").TGSRequests)

			config.CacheName = write(t, "cc", string(empty)+string(entries("bob"))+string(entries("ann")))
			require.NoError(t, ask(t, krb.NewClient(config), krb.User{}))
			require.Zero(t, k.Counts("bob").TGSRequests)
		})
	}
}

func TestKeytab(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	path := write(t, "keytab", string(k.Keytab(proxySPN, "ann")))
	t.Setenv("KRB5_CLIENT_KTNAME", "FILE:"+path)
	config.Principal = "ann@EXAMPLE.COM"
	c := krb.NewClient(config)
	require.NoError(t, ask(t, c, krb.User{}))
	require.Equal(t, 1, k.Counts("ann").TGTs)

	c.Forget()
	k.SetPassword("ann", "another")
	for range 3 {
		err := ask(t, c, krb.User{})
		require.ErrorIs(t, err, krb.ErrKeytabStale)
		require.False(t, krb.SecretRefused(err))
	}
	require.Equal(t, 1, k.Counts("ann").PreauthFailed)
	require.NoError(t, ask(t, c, user("ann", "another")), "the password is another source")
	require.NoError(t, os.WriteFile(path, k.Keytab("ann"), 0o600))
	require.NoError(t, ask(t, c, krb.User{}), "the keytab is read again")
}

func TestKeytabErrors(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	for _, tc := range []struct {
		desc, keytab, principal string
		want                    error
	}{
		{"missing", "/nonexistent/keytab", "", krb.ErrNoTicket},
		{"truncated", write(t, "keytab", string(k.Keytab("ann")[:50])), "", krb.ErrMalformedFile},
		{"of another user", write(t, "keytab", string(k.Keytab("ann"))), "bob", krb.ErrNoTicket},
		{"of another type", "MEMORY:x", "", krb.ErrMalformedFile},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			config.KeytabName, config.Principal = tc.keytab, tc.principal
			require.ErrorIs(t, ask(t, krb.NewClient(config), krb.User{}), tc.want)
		})
	}
}

// A krb5.conf is read again when it has changed.
func TestConfIsReadAgain(t *testing.T) {
	k := startKDC(t, kdc.Config{Principals: []kdc.Principal{{Name: "bob", Password: "pa55"}}})
	config := configOf(t, k)
	config.Realm, config.KDCs = "", nil
	require.NoError(t, os.Remove(config.ConfFile))
	t.Setenv("KRB5_CONFIG", config.ConfFile)
	config.ConfFile = ""
	c := krb.NewClient(config)
	require.ErrorIs(t, ask(t, c, user("bob", "pa55")), os.ErrNotExist)
	require.NoError(t, os.WriteFile(os.Getenv("KRB5_CONFIG"), []byte(k.Krb5Conf("permitted_enctypes = aes256-sha2")), 0o600))
	require.NoError(t, ask(t, c, user("bob", "pa55")))
	require.Equal(t, []int32{kdc.AES256SHA2}, k.Offered("bob"))
}
