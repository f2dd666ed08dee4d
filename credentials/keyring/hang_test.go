package keyring_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
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

// A store that hangs keeps those for a while who are told what became of the credentials.
func TestStoreThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &keyring.Provider{SaveAndDelete: true}
		release := make(chan struct{})
		var hanging sync.WaitGroup
		hanging.Go(func() { p.Do(t.Context(), func() error { <-release; return nil }) })
		synctest.Wait()
		for _, tell := range []func(context.Context, *proxyauth.CredentialsRequest, proxyauth.Credentials){p.Accepted, p.Rejected} {
			start := time.Now()
			tell(t.Context(), request("ann"), pair("ann", "s3cret"))
			require.Equal(t, time.Minute, time.Since(start))
		}
		close(release)
		hanging.Wait()
	})
}
