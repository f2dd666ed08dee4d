package interop

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Wine runs programs for Windows on amd64.
type Wine struct {
	prefix  string
	program string
}

// Debian's wine64 is not in the PATH.
var wineDirs = []string{"/usr/lib/wine", "/usr/bin", "/usr/local/bin"}

// forwarder defines a DLL that Go's programs need and Wine 8 lacks. Its one function is
// another name for the one of RtlGenRandom.
const forwarder = `LIBRARY bcryptprimitives.dll
EXPORTS
  ProcessPrng = ADVAPI32.SystemFunction036
`

// NewWine makes a Windows of its own for the test, which takes some seconds.
func NewWine(t testing.TB) *Wine {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("Wine runs programs for amd64 there alone")
	}
	dir := t.TempDir()
	w := &Wine{prefix: filepath.Join(dir, "prefix"), program: File(t, "wine64", wineDirs...)}
	server := File(t, "wineserver64", append(wineDirs, "/usr/lib/wine")...)
	t.Cleanup(func() {
		// An error says that it has ended by itself.
		cmd := exec.Command(server, "-k")
		cmd.Env = append(os.Environ(), w.env()...)
		_ = cmd.Run()
	})
	w.run(t, w.program, "wineboot", "-i")
	w.run(t, server, "-w")

	definition, object := filepath.Join(dir, "b.def"), filepath.Join(dir, "empty.o")
	require.NoError(t, os.WriteFile(definition, []byte(forwarder), 0o600))
	w.run(t, Program(t, "x86_64-w64-mingw32-as"), "-o", object, os.DevNull)
	w.run(t, Program(t, "x86_64-w64-mingw32-ld"), "-shared", "--disable-dynamicbase", "-e", "0",
		"-o", filepath.Join(w.prefix, "drive_c/windows/system32/bcryptprimitives.dll"), object, definition)
	return w
}

func (w *Wine) run(t testing.TB, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), w.env()...)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %q: %s", program, args, output)
}

func (w *Wine) env() []string {
	return []string{
		"WINEPREFIX=" + w.prefix,
		"WINEARCH=win64",
		"WINEDEBUG=" + cmp.Or(os.Getenv("WINEDEBUG"), "-all"),
		"WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d", // nothing to install, no menus
		"DISPLAY=",
	}
}

// Command returns a command that runs a Windows program.
func (w *Wine) Command(t testing.TB, env []string, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.program, append([]string{program}, args...)...)
	cmd.Dir = filepath.Dir(w.prefix)
	cmd.Env = append(append(os.Environ(), w.env()...), env...)
	return cmd
}
