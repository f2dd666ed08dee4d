package keyring_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/credentials/keyring"
)

// A store that hangs holds one goroutine, whoever else waits.
func TestStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(keyring.Provider)
		release := make(chan struct{})
		var calls atomic.Int32
		hang := func() error {
			calls.Add(1)
			<-release
			return nil
		}
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				require.ErrorIs(t, p.Do(ctx, hang), context.DeadlineExceeded)
			})
		}
		callers.Wait()
		require.EqualValues(t, 1, calls.Load())
		close(release)
		require.NoError(t, p.Do(t.Context(), func() error { return nil }))
	})
}
