//go:build !linux

package interop

import "testing"

func requireKeyrings(t testing.TB) {
	t.Helper()
	missing(t, "keyrings exist on Linux only")
}

func removeKeyring(string) {}

// JoinNewSession does nothing: there are no keyrings.
func JoinNewSession() error { return nil }
