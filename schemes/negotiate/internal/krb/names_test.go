package krb_test

import (
	"fmt"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// Which ticket cache it is, as MIT's library finds it.
func TestCacheName(t *testing.T) {
	uid := strconv.Itoa(os.Getuid())
	for _, tc := range []struct {
		desc, configured, env, conf, want string
	}{
		{"the default", "", "", "", "FILE:/tmp/krb5cc_" + uid},
		{"krb5.conf", "", "", "DIR:/run/user/1/krb5cc", "DIR:/run/user/1/krb5cc"},
		{"krb5.conf, with the user's number", "", "", "FILE:/run/%{uid}/cc_%{euid}_%{USERID}", "FILE:/run/" + uid + "/cc_" + uid + "_" + uid},
		{"krb5.conf, with nothing", "", "", "/run/%{null}x", "/run/x"},
		{"the environment", "", "FILE:/env", "FILE:/conf", "FILE:/env"},
		{"the environment, as it is", "", "FILE:/%{uid}", "", "FILE:/%{uid}"},
		{"the configuration", "/code", "FILE:/env", "FILE:/conf", "/code"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			t.Setenv("KRB5CCNAME", tc.env)
			path := write(t, "krb5.conf", "[libdefaults]\ndefault_ccache_name = "+tc.conf+"\n")
			require.Equal(t, tc.want, krb.CacheNameOf(path, tc.configured))
		})
	}
}

// MIT's library refuses such a name, too.
func TestCacheNameThatCanNotBeExpanded(t *testing.T) {
	t.Setenv("KRB5CCNAME", "")
	for _, name := range []string{"/run/%{future}", "/run/%{uid", "%{}", "%{LIBDIR}/cc", "%{USERNAME}"} {
		path := write(t, "krb5.conf", "[libdefaults]\ndefault_ccache_name = "+name+"\n")
		got := krb.CacheNameOf(path, "")
		require.Contains(t, got, "malformed file: krb5.conf: default_ccache_name: ")
		require.Equal(t, "/code", krb.CacheNameOf(path, "/code"))
	}
}

func TestCacheNameOfTheUser(t *testing.T) {
	u, err := osuser.Current()
	require.NoError(t, err)
	t.Setenv("KRB5CCNAME", "")
	t.Setenv("TMPDIR", "/var/tmp")
	path := write(t, "krb5.conf", "[libdefaults]\ndefault_ccache_name = %{TEMP}/%{username}\n")
	require.Equal(t, "/var/tmp/"+u.Username, krb.CacheNameOf(path, ""))
}

// The names that krb5.conf has are used.
func TestFilesNamedInConf(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	for _, tc := range []struct {
		desc, tag string
		file      []byte
	}{
		{"a ticket cache", "default_ccache_name", cacheOf(t, k, kdc.CCache{})},
		{"a keytab", "default_client_keytab_name", k.Keytab("ann")},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			config := configOf(t, k)
			t.Setenv("KRB5CCNAME", "")
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(os.Getuid())), tc.file, 0o600))
			text := fmt.Sprintf("[libdefaults]\ndefault_ccache_name = %s/none\n", dir)
			require.NoError(t, os.WriteFile(config.ConfFile, []byte(text), 0o600))
			require.ErrorIs(t, ask(t, krb.NewClient(config), krb.User{}), krb.ErrNoTicket)

			text = fmt.Sprintf("[libdefaults]\n%s = FILE:%s/%%{uid}\ndefault_ccache_name = %s/none\n", tc.tag, dir, dir)
			require.NoError(t, os.WriteFile(config.ConfFile, []byte(text), 0o600))
			require.NoError(t, ask(t, krb.NewClient(config), krb.User{}))
		})
	}
}
