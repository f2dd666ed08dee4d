package krb

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// On Windows people log on. Nobody is told of kinit first.
func TestRemediesOnWindows(t *testing.T) {
	t.Parallel()
	for _, remedy := range []func(string) string{withoutTicket, withoutCache} {
		require.Contains(t, remedy("linux"), "kinit")
		require.NotContains(t, remedy("windows"), "kinit")
		require.Contains(t, remedy("windows"), "negotiate.Scheme.Engine")
	}
}

// What kinit writes by default on macOS can't be read, so that it has to be told of a file.
func TestRemediesOnMacOS(t *testing.T) {
	t.Parallel()
	for _, remedy := range []func(string) string{withoutTicket, withoutCache} {
		require.Contains(t, remedy("darwin"), "FILE:/")
	}
}
