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
