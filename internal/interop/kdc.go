package interop

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	// KerberosRealm is the realm of every KDC here.
	KerberosRealm = "EXAMPLE.COM"

	// ProxyHost is the host name in every proxy's service principal, and in
	// its certificate. It need not resolve: a client that is to see it in the
	// proxy's URL dials [Proxy.URL] all the same.
	ProxyHost = serverName

	// proxyService is the service principal of every proxy.
	proxyService = "HTTP/" + ProxyHost
)

const (
	krb5Conf  = "krb5.conf"
	kdcConf   = "kdc.conf"
	kdcLog    = "kdc.log"
	proxyKeys = "proxy.keytab"
)

// Names and the ways to tickets that the machine has are left out, so that what
// is found is the test's.
const krb5ConfText = `[libdefaults]
	default_realm = %[1]s
	default_ccache_name = FILE:%[3]s/none
	default_keytab_name = FILE:%[3]s/none
	default_client_keytab_name = FILE:%[3]s/none
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	udp_preference_limit = 1
[realms]
	%[1]s = {
		kdc = %[2]s
	}
`

const kdcConfText = `[kdcdefaults]
	kdc_listen = ""
	kdc_tcp_listen = %[2]s
[realms]
	%[1]s = {
		database_name = %[3]s/principal
		key_stash_file = %[3]s/stash
		max_life = 10h
		max_renewable_life = 7d
	}
[logging]
	kdc = FILE:%[3]s/` + kdcLog + `
`

// A KDC is an MIT Kerberos KDC that runs, with a realm and a database of its own.
type KDC struct {
	// ConfigFile is the path of the krb5.conf that leads to it.
	ConfigFile string

	realm, addr string
	dir         *Dir
	process     *Process
}

// StartKDC starts a KDC that knows the accounts, which have to pre-authenticate,
// and the service of the proxies at [ProxyHost].
func StartKDC(t testing.TB, accounts ...Account) *KDC {
	t.Helper()
	k := newKDC(t, KerberosRealm, accounts...)
	k.addProxy(t)
	k.Restart(t)
	return k
}

// newKDC makes the database of a KDC that does not run yet.
func newKDC(t testing.TB, realm string, accounts ...Account) *KDC {
	t.Helper()
	k := &KDC{realm: realm, addr: Addr(t), dir: NewDir(t)}
	k.ConfigFile = k.clientConfig(krb5Conf, "")
	k.dir.Write(kdcConf, fmt.Sprintf(kdcConfText, realm, k.addr, k.dir.path))
	k.run(t, "kdb5_util", "create", "-s", "-P", "master", "-r", realm)
	for _, a := range accounts {
		k.admin(t, "addprinc", "-pw", a.Password, "+requires_preauth", a.Username)
	}
	return k
}

// addProxy adds the service of the proxies.
func (k *KDC) addProxy(t testing.TB) {
	t.Helper()
	k.admin(t, "addprinc", "-randkey", proxyService)
	k.admin(t, "ktadd", "-k", k.dir.Path(proxyKeys), proxyService)
}

// Restart starts the KDC again, at the same address.
func (k *KDC) Restart(t testing.TB) {
	t.Helper()
	k.process = Start(t, Command{
		Path:  Program(t, "krb5kdc"),
		Args:  []string{"-n"},
		Env:   k.Env(),
		Dir:   k.dir,
		Addrs: []string{k.addr},
		Logs:  []string{kdcLog},
	})
}

// Stop stops the KDC, until [KDC.Restart]. It is stopped at the end of the test in any case.
func (k *KDC) Stop() { k.process.Stop() }

// Env returns the environment that a program needs to find the KDC, and to leave
// nothing outside of the test's directories.
func (k *KDC) Env() []string {
	return []string{
		"KRB5_CONFIG=" + k.ConfigFile,
		"KRB5_KDC_PROFILE=" + k.dir.Path(kdcConf),
		"KRB5RCACHEDIR=" + k.dir.path,
	}
}

// Keytab writes a keytab with the key of a user, whose password stays good, and
// returns its path.
func (k *KDC) Keytab(t testing.TB, username string) string {
	t.Helper()
	path := k.dir.Path(username + ".keytab")
	k.admin(t, "ktadd", "-k", path, "-norandkey", username)
	return path
}

// ChangeProxyKey gives the proxies' service a new key that no keytab has.
func (k *KDC) ChangeProxyKey(t testing.TB) {
	t.Helper()
	k.admin(t, "cpw", "-randkey", proxyService)
}

// RenewProxyKey gives the proxies' service a new key, which is the only one in
// the keytab of proxies that are started from now on.
func (k *KDC) RenewProxyKey(t testing.TB) {
	t.Helper()
	require.NoError(t, os.Remove(k.dir.Path(proxyKeys)))
	k.admin(t, "ktadd", "-k", k.dir.Path(proxyKeys), proxyService)
}

// RemoveProxy takes the proxies' service out of the database.
func (k *KDC) RemoveProxy(t testing.TB) {
	t.Helper()
	k.admin(t, "delprinc", "-force", proxyService)
}

func (k *KDC) admin(t testing.TB, query ...string) {
	t.Helper()
	k.run(t, "kadmin.local", query...)
}

// run runs a program as the KDC's user, whose files it works on.
func (k *KDC) run(t testing.TB, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Program(t, program), args...)
	cmd.Dir = k.dir.path
	cmd.Env = append(cmd.Environ(), k.Env()...)
	require.NoError(t, setAttributes(cmd, false))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %s: %s", program, strings.Join(args, " "), out)
}
