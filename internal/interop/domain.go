package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// DomainRealm is the name in DNS of the [Domain] of every account.
const DomainRealm = "LAB.TEST"

// A Domain is an Active Directory domain, called by the first label of its name in DNS, with a
// domain controller that runs: Samba's. Of its network there is the KDC alone: what asks it for a user
// does so over a socket in its directory.
type Domain struct {
	// ConfigFile is the path of the krb5.conf that leads to its KDC.
	ConfigFile string

	realm   string
	dir     *Dir
	kdc     string // its address
	config  string
	preload string // the library that makes programs look for the socket there
}

// The controller of a whole domain would listen on a dozen of well-known ports.
const controllerConfig = `[global]
	workgroup = %[1]s
	realm = %[2]s
	netbios name = DC
	server role = active directory domain controller
	server services = %[6]s
	interfaces = lo
	bind interfaces only = yes
	krb5 port = %[4]s
	kpasswd port = %[5]s
	dcerpc endpoint servers =
	ntlm auth = ntlmv2-only
	winbindd socket directory = %[3]s/w
	ncalrpc dir = %[3]s/n
	pid directory = %[3]s
	private dir = %[3]s/private
	lock directory = %[3]s
	state directory = %[3]s/state
	cache directory = %[3]s/cache
	binddns dir = %[3]s/bind-dns
	log file = %[3]s/samba.log
`

// StartDomain makes a domain with the accounts and starts its controller. It is
// for root alone: elsewhere the test is skipped.
func StartDomain(t testing.TB, accounts ...Account) *Domain {
	t.Helper()
	d := newDomain(t, DomainRealm, kdcService+" winbindd", accounts...)
	d.addProxy(t)
	d.start(t)
	d.waitReady(t)
	return d
}

// kdcService is the service of a controller that is its KDC.
const kdcService = "kdc"

// addProxy adds the service of the proxies.
func (d *Domain) addProxy(t testing.TB) {
	t.Helper()
	d.tool(t, "user", "create", "proxy", "of the proxies", "-s", d.config)
	d.tool(t, "spn", "add", proxyService, "proxy", "-s", d.config)
	d.tool(t, "domain", "exportkeytab", d.proxyKeytab(), "--principal="+proxyService, "-s", d.config)
	require.NoError(t, giveToServer(d.proxyKeytab()))
}

// newDomain makes a domain whose controller, of which the services are named, does not run yet.
func newDomain(t testing.TB, realm, services string, accounts ...Account) *Domain {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("Samba's domain controller wants to be root")
	}
	Program(t, "samba")
	File(t, "provision.ldif", "/usr/share/samba/setup") // is a package of its own
	d := &Domain{realm: realm, dir: NewDir(t), kdc: Addr(t)}
	name, _, _ := strings.Cut(realm, ".")
	d.preload = File(t, "libnss_wrapper.so", globbed(t, "/usr/lib/*-linux-gnu")...)
	d.tool(t, "domain", "provision", "--targetdir="+d.dir.path, "--server-role=dc", "--dns-backend=NONE",
		"--domain="+name, "--realm="+realm, "--host-name=dc", "--host-ip=127.0.0.1",
		"--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb")
	d.config = d.dir.Write("dc.conf", fmt.Sprintf(controllerConfig, name, realm, d.dir.path, portOf(d.kdc), portOf(Addr(t)), services))
	d.ConfigFile = d.clientConfig(krb5Conf, "")
	d.tool(t, "domain", "passwordsettings", "set", "--complexity=off", "--min-pwd-length=0",
		"--account-lockout-threshold=3", "-s", d.config) // without a threshold it does not count
	for _, a := range accounts {
		d.tool(t, "user", "create", a.Username, a.Password, "-s", d.config)
	}
	return d
}

// tool runs samba-tool.
func (d *Domain) tool(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Program(t, "samba-tool"), args...)
	cmd.Dir = d.dir.path
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// start starts the controller.
func (d *Domain) start(t testing.TB) {
	t.Helper()
	Start(t, Command{
		Path:       Program(t, "samba"),
		Args:       []string{"--interactive", "--model=single", "--configfile=" + d.config, "--debug-stdout"},
		Dir:        d.dir,
		Addrs:      []string{d.kdc},
		Privileged: true,
	})
}

// Env returns the environment that a proxy needs to take tickets of the domain.
func (d *Domain) Env() []string {
	return []string{"KRB5_CONFIG=" + d.ConfigFile, "KRB5RCACHEDIR=" + d.dir.path}
}

func (d *Domain) proxyKeytab() string { return d.dir.Path(proxyKeys) }

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func globbed(t testing.TB, pattern string) []string {
	t.Helper()
	dirs, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return dirs
}

// waitReady waits until users can be asked for, and lets the servers ask.
func (d *Domain) waitReady(t testing.TB) {
	t.Helper()
	privileged := d.dir.Path("state/winbindd_privileged")
	require.Eventually(t, func() bool {
		for _, socket := range []string{d.dir.Path("w/pipe"), privileged + "/pipe"} {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				return false
			}
			conn.Close()
		}
		return true
	}, startTimeout, pollInterval)
	// winbindd insists on the owner and the mode, but not on the group.
	require.NoError(t, lendToServer(privileged))
	for _, path := range []string{d.config, d.dir.Path("state"), d.dir.Path("cache"), d.dir.Path("private")} {
		require.NoError(t, allow(path))
	}
}

func allow(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Chmod(path, info.Mode().Perm()|0o055)
}

// environment returns a command's prefix with which it asks this domain.
func (d *Domain) environment() []string {
	return []string{
		"env",
		"LD_PRELOAD=" + d.preload,
		"NSS_WRAPPER_PASSWD=/etc/passwd",
		"NSS_WRAPPER_GROUP=/etc/group",
		"SELFTEST_WINBINDD_SOCKET_DIR=" + d.dir.Path("w"),
	}
}

// Logon logs a user in and returns the environment in which programs of Samba, and so
// Wine, find the logon: the password is kept by winbindd, and the user of the tests goes by
// the user's name.
func (d *Domain) Logon(t testing.TB, a Account) []string {
	t.Helper()
	env := append(d.environment()[1:], "NSS_WRAPPER_PASSWD="+d.dir.Write("passwd", a.Username+":x:0:0::/:/bin/sh\n"))
	cmd := exec.CommandContext(t.Context(), Program(t, "wbinfo"), "--ccache-save="+NTLMDomain+`\`+a.Username+"%"+a.Password)
	cmd.Env = append(os.Environ(), env...)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return env
}

// BadPasswords returns how many wrong passwords of a user the controller counts.
func (d *Domain) BadPasswords(t testing.TB, user string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Program(t, "samba-tool"), "user", "show", user, "--attributes=badPwdCount", "-s", d.config)
	output, err := cmd.Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(output)) {
		if count, ok := strings.CutPrefix(line, "badPwdCount: "); ok {
			return strings.TrimSpace(count)
		}
	}
	return ""
}
