package flight_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/credentials/internal/flight"
)

func TestCallersShareACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[string, int]
		var calls atomic.Int32
		release := make(chan struct{})
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				got, err := group.Do(t.Context(), "key", func(context.Context) (int, error) {
					<-release
					return int(calls.Add(1)), nil
				})
				require.NoError(t, err)
				require.Equal(t, 1, got)
			})
		}
		synctest.Wait()
		close(release)
		callers.Wait()
		got, err := group.Do(t.Context(), "key", func(context.Context) (int, error) { return 2, nil })
		require.NoError(t, err)
		require.Equal(t, 2, got, "a call that has ended is not shared")
	})
}

func TestKeysAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[string, string]
		release := make(chan struct{})
		go group.Do(t.Context(), "a", func(context.Context) (string, error) {
			<-release
			return "a", nil
		})
		synctest.Wait()
		got, err := group.Do(t.Context(), "b", func(context.Context) (string, error) { return "b", nil })
		require.NoError(t, err)
		require.Equal(t, "b", got)
		close(release)
	})
}

func TestACallerThatLeavesDoesNotEndTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[string, string]
		release := make(chan struct{})
		wait := func(ctx context.Context) (string, error) {
			select {
			case <-release:
				return "answer", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		left := errors.New("left")
		ctx, leave := context.WithCancelCause(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() {
			_, err := group.Do(ctx, "key", wait)
			require.ErrorIs(t, err, left)
		})
		synctest.Wait()
		callers.Go(func() {
			got, err := group.Do(t.Context(), "key", wait)
			require.NoError(t, err)
			require.Equal(t, "answer", got)
		})
		synctest.Wait()
		leave(left)
		synctest.Wait()
		close(release)
		callers.Wait()
	})
}

func TestTheCallEndsWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group flight.Group[string, string]
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan struct{})
		finish := make(chan struct{})
		go group.Do(ctx, "key", func(ctx context.Context) (string, error) {
			<-ctx.Done()
			close(ended)
			<-finish
			return "late", nil
		})
		synctest.Wait()
		leave()
		<-ended
		got, err := group.Do(t.Context(), "key", func(context.Context) (string, error) { return "new", nil })
		require.NoError(t, err)
		require.Equal(t, "new", got, "a call that is being cancelled is not joined")
		close(finish)
	})
}

// The program may end as soon as the last caller has given up.
func TestTheLastCallerWaitsForTheEndOfTheCall(t *testing.T) {
	tests := []struct {
		desc          string
		cleanup, wait time.Duration
		wantEnded     bool
	}{
		{desc: "ends soon", cleanup: time.Second / 2, wait: time.Second / 2, wantEnded: true},
		{desc: "hangs", cleanup: time.Hour, wait: time.Second},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var group flight.Group[string, string]
				var ended atomic.Bool
				f := func(ctx context.Context) (string, error) {
					<-ctx.Done()
					time.Sleep(test.cleanup)
					ended.Store(true)
					return "late", nil
				}
				first, leaveFirst := context.WithCancel(t.Context())
				last, leaveLast := context.WithCancel(t.Context())
				var callers sync.WaitGroup
				wait := func(ctx context.Context, want time.Duration) {
					callers.Go(func() {
						_, err := group.Do(ctx, "key", f)
						require.ErrorIs(t, err, context.Canceled)
						require.Equal(t, want, time.Since(start))
					})
				}
				wait(first, 0)
				wait(last, test.wait)
				synctest.Wait()
				leaveFirst()
				synctest.Wait()
				leaveLast()
				callers.Wait()
				require.Equal(t, test.wantEnded, ended.Load())
				time.Sleep(test.cleanup)
			})
		})
	}
}

func TestACallThatEndsItsGoroutine(t *testing.T) {
	var group flight.Group[string, string]
	_, err := group.Do(t.Context(), "key", func(context.Context) (string, error) {
		runtime.Goexit()
		return "", nil
	})
	require.ErrorContains(t, err, "ended without a result")
}
