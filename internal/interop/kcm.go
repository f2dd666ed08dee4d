package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kcmRoot is where ci/install.sh unpacks what is not installed.
const kcmRoot = "/usr/local/lib/proxyauth-kcm"

// kcmSocket is where Heimdal's daemon listens, below /run, whatever it is told.
const kcmSocket = ".heim_org.h5l.kcm-socket"

// A KCM is a daemon that keeps ticket caches, and that runs with a socket and data of its
// own.
type KCM struct {
	// ConfigFile is the path of a krb5.conf that leads to it, and says nothing else.
	ConfigFile string

	process *Process
}

// Stop stops the daemon. It is stopped at the end of the test in any case.
func (k *KCM) Stop() { k.process.Stop() }

// StartSSSDKCM starts the daemon of sssd, as systemd does: with a socket that listens.
func StartSSSDKCM(t testing.TB) *KCM {
	t.Helper()
	dir := newKCMDir(t)
	path := dir.Path("socket")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	listener.SetUnlinkOnClose(false)
	defer listener.Close()
	require.NoError(t, os.Chmod(path, 0o666))
	file, err := listener.File()
	require.NoError(t, err)
	defer file.Close()
	for _, name := range []string{"db", "secrets", "mc"} {
		require.NoError(t, os.MkdirAll(dir.Path("sss/"+name), 0o700))
	}
	daemon := File(t, "sssd_kcm", "/usr/libexec/sssd", kcmRoot+"/usr/libexec/sssd")
	process := inNamespace(t, dir, "/var/lib", "LISTEN_FDS=1 LISTEN_PID=$$ ", daemon, "--uid", "0", "--gid", "0", "--logger=stderr")
	process.Socket, process.Files = path, []*os.File{file}
	return startKCM(t, dir, process)
}

// StartHeimdalKCM starts the daemon of Heimdal.
func StartHeimdalKCM(t testing.TB) *KCM {
	t.Helper()
	dir := newKCMDir(t)
	process := inNamespace(t, dir, "/run", "", File(t, "kcm", "/usr/sbin", kcmRoot+"/usr/sbin"))
	process.Socket = dir.Path(kcmSocket)
	return startKCM(t, dir, process)
}

// newKCMDir returns a directory for a daemon, which for its namespace has to be root.
func newKCMDir(t testing.TB) *Dir {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a mount namespace is for root")
	}
	return NewDir(t)
}

func startKCM(t testing.TB, dir *Dir, process Command) *KCM {
	t.Helper()
	k := &KCM{ConfigFile: dir.Path(krb5Conf), process: Start(t, process)}
	require.NoError(t, os.WriteFile(k.ConfigFile, fmt.Appendf(nil, "[libdefaults]\n\tkcm_socket = %s\n", process.Socket), 0o644))
	return k
}

// inNamespace returns a command that runs a daemon with the directory in the place of where,
// as nothing but the daemon sees it.
func inNamespace(t testing.TB, dir *Dir, where, assignments, daemon string, args ...string) Command {
	t.Helper()
	const script = `mount --bind "$1" "$2" && shift 2 && `
	libraries := globbed(t, kcmRoot+"/usr/lib/*-linux-gnu")
	for _, name := range []string{"sssd", "heimdal"} {
		libraries = append(libraries, globbed(t, kcmRoot+"/usr/lib/*-linux-gnu/"+name)...)
	}
	return Command{
		Path: Program(t, "unshare"),
		Args: append([]string{"--mount", "/bin/sh", "-c", script + assignments + `exec "$@"`, filepath.Base(daemon), dir.path, where, daemon}, args...),
		Env:  []string{"LD_LIBRARY_PATH=" + strings.Join(libraries, ":")},
		Dir:  dir, Privileged: true,
	}
}
