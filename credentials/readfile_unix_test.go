//go:build unix

package credentials_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
)

// What is no file is an error at once, whichever provider is to read it.
func TestProvidersReadRegularFilesAlone(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	socket := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer syscall.Close(fd)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}))
	password := writeFile(t, "password", "s3cret")
	for _, path := range []string{fifo, socket, "/dev/zero", t.TempDir()} {
		for desc, provider := range map[string]proxyauth.CredentialsProvider{
			"netrc":          credentials.Netrc{Path: path},
			"password file":  credentials.File{Username: "ann", PasswordPath: path},
			"user name file": credentials.File{UsernamePath: path, PasswordPath: password},
		} {
			_, err := provider.Credentials(t.Context(), request(t, proxyText))
			requireFailure(t, err, path+" is not a regular file")
			require.NotContains(t, err.Error(), "s3cret", desc)
		}
	}
	_, err = credentials.Netrc{Path: os.DevNull}.Credentials(t.Context(), request(t, proxyText))
	requireNone(t, err, "no entry for")
}
