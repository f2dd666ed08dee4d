package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// requiredVariable is the environment variable whose value "required" turns
// skipped tests into failed ones.
const requiredVariable = "PROXYAUTH_INTEROP"

// Daemons live where the PATH of an ordinary user does not reach.
var systemDirs = []string{"/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin"}

// Program returns the path of the first of the programs that is installed, and
// skips the test if none is.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, dir := range systemDirs {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path
			}
		}
	}
	missing(t, "none of the programs %q is installed", names)
	return ""
}

// File returns the path of name in the first of dirs that has it, and skips the
// test if none has. It finds what distributions put in different places.
func File(t testing.TB, name string, dirs ...string) string {
	t.Helper()
	path, ok := find(name, dirs)
	if !ok {
		missing(t, "%s is in none of %q", name, dirs)
	}
	return path
}

func find(name string, dirs []string) (path string, ok bool) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
	}
	return "", false
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(requiredVariable) == "required" {
		t.Fatalf(requiredVariable+"=required, but "+format, args...)
	}
	t.Skipf(format, args...)
}
