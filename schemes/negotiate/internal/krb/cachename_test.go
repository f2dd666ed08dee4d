package krb

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A user of Windows has no number to make a file name of.
func TestDefaultCache(t *testing.T) {
	t.Parallel()
	require.Empty(t, defaultCache("windows"))
	require.Equal(t, "FILE:/tmp/krb5cc_%{uid}", defaultCache("linux"))
}

// What to do about a name that can't be read depends on the system.
func TestOtherReader(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ kind, goos, want string }{
		{"API", "darwin", "kinit -c FILE:"},
		{"XCACHE", "darwin", "kinit -c FILE:"},
		{"API", "linux", "macOS only"},
		{"MSLSA", "windows", "SSPI"},
		{"MSLSA", "linux", "Windows only"},
		{"KEYRING", "darwin", "Linux only"},
		{"KCM", "windows", "no KCM daemon"},
		{"MEMORY", "linux", "one program only"},
		{"FUTURE", "linux", "not known"},
	} {
		require.Contains(t, otherReader(tc.kind, tc.goos), tc.want)
	}
}

func TestWindowsParameters(t *testing.T) {
	t.Setenv("LOCALAPPDATA", `C:\local`)
	got, err := expansion("windows", "LOCAL_APPDATA")
	require.NoError(t, err)
	require.Equal(t, `C:\local`, got)
	for _, parameter := range []string{"euid", "username", "SYSTEM"} {
		_, err = expansion("windows", parameter)
		require.ErrorIs(t, err, errUnknownParameter)
	}
}
