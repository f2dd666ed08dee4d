//go:build unix

package krb_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

// As su leaves it behind. Root may open any file, and has somebody else try.
func TestCacheThatMayNotBeOpened(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	k := startKDC(t, kdc.Config{})
	config := configOf(t, k)
	config.CacheName = write(t, "cc", string(cacheOf(t, k, kdc.CCache{})))
	require.NoError(t, os.Chmod(config.CacheName, 0))
	c := krb.NewClient(config)
	require.NoError(t, ask(t, c, user("ann", "s3cret")))
	err := ask(t, c, krb.User{})
	require.ErrorIs(t, err, krb.ErrNoTicket)
	require.ErrorIs(t, err, os.ErrPermission)
}

// A named pipe or a device is an error at once, wherever a file is to be read, and no
// request waits for another one that asks for it.
func TestWhatIsNoFileIsAnErrorAtOnce(t *testing.T) {
	k := startKDC(t, kdc.Config{})
	dir := t.TempDir()
	fifo := filepath.Join(dir, "primary")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	for _, name := range []string{fifo, "/dev/zero"} {
		for desc, set := range map[string]func(*krb.Config){
			"ticket cache":       func(c *krb.Config) { c.CacheName = name },
			"primary of a DIR":   func(c *krb.Config) { c.CacheName = "DIR:" + dir },
			"keytab":             func(c *krb.Config) { c.KeytabName = name },
			"krb5.conf":          func(c *krb.Config) { c.ConfFile = name },
			"included file":      func(c *krb.Config) { c.ConfFile = write(t, "conf", "include "+name+"\n") },
			"included directory": func(c *krb.Config) { c.ConfFile = write(t, "conf", "includedir "+dir+"\n") },
		} {
			t.Run(desc+" "+name, func(t *testing.T) {
				config := configOf(t, k)
				set(&config)
				c := krb.NewClient(config)
				require.ErrorIs(t, ask(t, c, krb.User{}), krb.ErrMalformedFile)
				c.Inspect(t.Context(), krb.User{})
			})
		}
	}
}

// asNobody runs the test in a process without privileges.
func asNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chown(dir, nobody, nobody))
	self, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(self) // where go test has put it, others may not look
	require.NoError(t, err)
	path := filepath.Join(dir, "test")
	require.NoError(t, os.WriteFile(path, program, 0o755))
	cmd := exec.CommandContext(t.Context(), path, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: "+t.Name())
}
