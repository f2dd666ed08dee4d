package keyring_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/leaktest"
)

// inSession tells the test binary that it runs on a session bus of its own.
const inSession = "PROXYAUTH_TEST_KEYRING_SESSION"

// TestMain runs the tests under dbus-run-session with a gnome-keyring of their
// own: they must not touch that of whoever runs them.
func TestMain(m *testing.M) {
	if os.Getenv(inSession) != "" {
		os.Exit(runWithKeyring(m))
	}
	if missing() == nil {
		os.Exit(runInSession())
	}
	os.Exit(m.Run())
}

func missing() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("needs Linux")
	}
	for _, tool := range []string{"dbus-run-session", "gnome-keyring-daemon", "secret-tool"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	return nil
}

// needKeyring skips a test that has no real keyring.
func needKeyring(t *testing.T) {
	t.Helper()
	if os.Getenv(inSession) != "" {
		return
	}
	if os.Getenv("PROXYAUTH_INTEROP") == "required" {
		t.Fatal(missing())
	}
	t.Skip(missing())
}

func runInSession() int {
	dir, err := os.MkdirTemp("", "keyring")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("dbus-run-session", append([]string{"--"}, os.Args...)...)
	cmd.Env = append(os.Environ(), inSession+"=1",
		"XDG_DATA_HOME="+filepath.Join(dir, "data"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"),
		"XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "XDG_RUNTIME_DIR="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "dbus-run-session:", err)
		return 1
	}
	return 0
}

func runWithKeyring(m *testing.M) int {
	// Where one that D-Bus starts looks for it, in case it is asked first.
	control := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "keyring")
	if err := os.Mkdir(control, 0o700); err != nil {
		panic(err)
	}
	cmd := exec.Command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets", "--control-directory="+control)
	cmd.Stdin = strings.NewReader("the keyring's own password")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	// It says where it listens when it is ready.
	lines := bufio.NewReader(stdout)
	if line, err := lines.ReadString('\n'); err != nil {
		panic(fmt.Sprintf("gnome-keyring-daemon: %q, %v", line, err))
	}
	go io.Copy(io.Discard, lines)
	return leaktest.Run(m)
}
