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
