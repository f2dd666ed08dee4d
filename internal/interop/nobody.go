package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// newSessionVariable tells [JoinNewSession] that there is something to do.
const newSessionVariable = "PROXYAUTH_TEST_NEW_SESSION"

// RunAsServer runs the tests whose names match pattern once more, in a process of the user
// that servers run as, whose TestMain calls [JoinNewSession]. More variables of the environment
// may be given. It is for root alone: elsewhere the test is skipped.
func RunAsServer(t testing.TB, pattern string, env ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("root alone can run a process as somebody else")
	}
	dir := NewDir(t)
	self, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(self) // where go test has put it, others may not look
	require.NoError(t, err)
	path := dir.Path(filepath.Base(self))
	require.NoError(t, os.WriteFile(path, program, 0o755))
	cmd := exec.CommandContext(t.Context(), path, "-test.run="+pattern, "-test.v")
	cmd.Dir = dir.path
	cmd.Env = append(append(cmd.Environ(), "TMPDIR="+dir.path, newSessionVariable+"=1"), env...)
	require.NoError(t, setAttributes(cmd, false))
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: ")
}
