//go:build unix && !darwin

package keyring_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/keyring"
)

// Where no session bus runs, as on a server, none is started: it would outlive the program.
func TestStartsNoSessionBus(t *testing.T) {
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("there is a session bus")
	}
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte("#!/bin/sh\n: > '"+started+"'\n"), 0o755))
	t.Setenv("PATH", dir)
	for _, address := range []string{"", "autolaunch:"} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
		p := &keyring.Provider{}
		_, err := p.Credentials(t.Context(), request("ann"))
		require.ErrorContains(t, err, "proxyauth: keyring: there is no session bus of D-Bus")
		require.NotErrorIs(t, err, proxyauth.ErrNoCredentials)
		require.ErrorContains(t, p.Save(t.Context(), request("ann").Proxy, pair("ann", "s3cret")), "no session bus")
		require.ErrorContains(t, p.Delete(t.Context(), request("ann").Proxy, "ann"), "no session bus")
	}
	require.NoFileExists(t, started)
}
