package interop

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Dir is a directory of one server: configuration, passwords, logs. The
// server may read and write it, whichever user it runs as.
type Dir struct {
	t    testing.TB
	path string
}

// NewDir makes a directory that is removed at the end of the test.
func NewDir(t testing.TB) *Dir {
	t.Helper()
	path := t.TempDir()
	// The directory above it is for the tests' user alone, which is not the
	// server's where the tests run as root.
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755))
	require.NoError(t, giveToServer(path))
	return &Dir{t: t, path: path}
}

// Path returns the path of the file called name.
func (d *Dir) Path(name string) string {
	return filepath.Join(d.path, name)
}

// Write writes a file that the server may read, and returns its path.
func (d *Dir) Write(name, content string) string {
	d.t.Helper()
	path := d.Path(name)
	require.NoError(d.t, os.WriteFile(path, []byte(content), 0o600))
	require.NoError(d.t, giveToServer(path))
	return path
}
