package proxyauth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// TestMemoriesAreBounded fills what nobody but time empties. That of refusals and of
// proxies have tests of their own.
func TestMemoriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known, targets, pause := proxyauth.Lose(5000)
		require.Equal(t, 4096, known)
		require.Equal(t, 64, targets)
		require.Equal(t, 30*time.Minute, pause)
	})
	require.LessOrEqual(t, proxyauth.Free(5000), 1024)
	require.Equal(t, 256, proxyauth.Idle(5000))
}
