package interop

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// requireKeyrings skips the test where the kernel's keyrings are not to be used.
func requireKeyrings(t testing.TB) {
	t.Helper()
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true); err != nil {
		missing(t, "keyctl fails: %v", err)
	}
}

// JoinNewSession gives a process that RunAsServer has started a session keyring of its own, as
// a login does. It may inherit root's otherwise, in place of which the kernel gives one of its
// own to each program that adds to it. It is to be called before any tests run.
func JoinNewSession() error {
	if os.Getenv(newSessionVariable) == "" {
		return nil
	}
	os.Unsetenv(newSessionVariable)
	// The keyring is that of the thread, and all that exec leaves is the thread.
	runtime.LockOSThread()
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(self, os.Args, os.Environ())
}

// removeKeyring removes the keyring of a collection, which kdestroy leaves.
func removeKeyring(name string) {
	anchor, collection, ok := strings.Cut(name, ":")
	if !ok {
		collection = name
	}
	collection, _, _ = strings.Cut(collection, ":")
	ring := unix.KEY_SPEC_SESSION_KEYRING
	switch anchor {
	case "user":
		ring = unix.KEY_SPEC_USER_KEYRING
	case "persistent":
		return // it is common to all programs
	}
	if id, err := unix.KeyctlSearch(ring, "keyring", "_krb_"+collection, 0); err == nil {
		// An error says that it is gone.
		_, _ = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, ring, 0, 0)
	}
}
