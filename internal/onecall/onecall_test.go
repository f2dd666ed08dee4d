package onecall_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

type group = onecall.Group[string, string]

var errFailed = errors.New("failed")

// returns is a call that returns at once.
func returns(value string, err error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return value, err }
}

// after is a call that returns when release is closed or its context has ended.
func after(release <-chan struct{}, value string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		select {
		case <-release:
			return value, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// deaf is a call that goes on for d after the end of its context.
func deaf(d time.Duration, value string, err error) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		<-ctx.Done()
		time.Sleep(d)
		return value, err
	}
}

// do calls Do in a goroutine and requires what it returns.
func do(ctx context.Context, t *testing.T, wg *sync.WaitGroup, g *group, o onecall.Options, f func(context.Context) (string, error), want string, wantErr error) {
	t.Helper()
	wg.Go(func() {
		got, err := g.Do(ctx, "key", o, f)
		require.ErrorIs(t, err, wantErr)
		require.Equal(t, want, got)
	})
	synctest.Wait()
}

func TestAllThatWaitShareTheResult(t *testing.T) {
	for _, tc := range []struct {
		desc, value string
		err         error
	}{
		{desc: "value", value: "answer"},
		{desc: "error", err: errFailed},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g group
				var calls atomic.Int32
				var wg sync.WaitGroup
				f := func(context.Context) (string, error) {
					calls.Add(1)
					time.Sleep(300 * time.Millisecond)
					return tc.value, tc.err
				}
				for range 40 {
					do(t.Context(), t, &wg, &g, onecall.Options{}, f, tc.value, tc.err)
				}
				start := time.Now()
				wg.Wait()
				require.EqualValues(t, 1, calls.Load())
				require.Equal(t, 300*time.Millisecond, time.Since(start))

				got, err := g.Do(t.Context(), "key", onecall.Options{}, returns("next", nil))
				require.NoError(t, err)
				require.Equal(t, "next", got, "a call that has ended is not shared")
			})
		})
	}
}

func TestOtherKeysDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var wg sync.WaitGroup
		release := make(chan struct{})
		do(t.Context(), t, &wg, &g, onecall.Options{}, after(release, "slow"), "slow", nil)
		got, err := g.Do(t.Context(), "other", onecall.Options{}, returns("quick", nil))
		require.NoError(t, err)
		require.Equal(t, "quick", got)
		close(release)
		wg.Wait()
	})
}

func TestEndedContextBeginsNoCall(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errFailed)
	var g group
	_, err := g.Do(ctx, "key", onecall.Options{}, func(context.Context) (string, error) {
		t.Error("called")
		return "", nil
	})
	require.ErrorIs(t, err, errFailed)
}

func TestContextEndsTheWaitNotTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var wg sync.WaitGroup
		release := make(chan struct{})
		first, leave := context.WithCancelCause(t.Context())
		do(first, t, &wg, &g, onecall.Options{}, after(release, "answer"), "", errFailed)
		do(t.Context(), t, &wg, &g, onecall.Options{}, returns("another call", nil), "answer", nil)
		leave(errFailed)
		synctest.Wait()
		close(release)
		wg.Wait()
	})
}

func TestCallHasTheValuesOfTheFirstContextAndNotItsEnd(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Hour)
	defer cancel()
	var g group
	got, err := g.Do(ctx, "key", onecall.Options{}, func(ctx context.Context) (string, error) {
		_, limited := ctx.Deadline()
		require.False(t, limited)
		return ctx.Value(key{}).(string), nil
	})
	require.NoError(t, err)
	require.Equal(t, "value", got)
}

func TestCallIsCancelledWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		for range 3 {
			do(ctx, t, &wg, &g, onecall.Options{}, func(ctx context.Context) (string, error) {
				<-ctx.Done()
				ended <- ctx.Err()
				return "", ctx.Err()
			}, "", context.Canceled)
		}
		require.Empty(t, ended)
		cancel()
		wg.Wait()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// A call that was cancelled since nobody waited for it may go on for a while.
func TestCallAfterOneThatWasCalledOff(t *testing.T) {
	const cleanup = 10 * time.Second
	for _, tc := range []struct {
		desc    string
		first   func(context.Context) (string, error)
		options onecall.Options
		want    string
		wait    time.Duration
	}{
		{desc: "takes its value", first: deaf(cleanup, "first", nil), want: "first", wait: cleanup},
		{desc: "takes the place of its error", first: deaf(cleanup, "", errFailed), want: "second", wait: cleanup},
		{
			desc: "begins beside it after a while", first: deaf(cleanup, "first", nil),
			options: onecall.Options{Abandon: time.Second}, want: "second", wait: time.Second,
		},
		{
			desc: "begins before it is abandoned", first: deaf(time.Second, "", errFailed),
			options: onecall.Options{Abandon: cleanup}, want: "second", wait: time.Second,
		},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g group
				var wg sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				do(ctx, t, &wg, &g, tc.options, tc.first, "", context.Canceled)
				cancel()
				wg.Wait()
				start := time.Now()
				for range 2 {
					do(t.Context(), t, &wg, &g, tc.options, returns("second", nil), tc.want, nil)
				}
				wg.Wait()
				require.Equal(t, tc.wait, time.Since(start))
				time.Sleep(cleanup)
			})
		})
	}
}

func TestLimitOfACall(t *testing.T) {
	const limit = 30 * time.Second
	for _, tc := range []struct {
		desc    string
		f       func(context.Context) (string, error)
		abandon time.Duration
		want    string
		wantErr error
		wait    time.Duration
	}{
		{desc: "not reached", f: returns("answer", nil), want: "answer"},
		{desc: "reached", f: after(nil, ""), wantErr: context.DeadlineExceeded, wait: limit},
		{desc: "an answer that is late", f: deaf(time.Second, "late", nil), want: "late", wait: limit + time.Second},
		{desc: "an error that is late", f: deaf(time.Second, "", errFailed), wantErr: errFailed, wait: limit + time.Second},
		{desc: "an answer that is too late", f: deaf(time.Minute, "late", nil), abandon: time.Second, wantErr: context.DeadlineExceeded, wait: limit + time.Second},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g group
				var wg sync.WaitGroup
				start := time.Now()
				for range 3 {
					do(t.Context(), t, &wg, &g, onecall.Options{Limit: limit, Abandon: tc.abandon}, tc.f, tc.want, tc.wantErr)
				}
				wg.Wait()
				require.Equal(t, tc.wait, time.Since(start))
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestLastOneLingers(t *testing.T) {
	for _, tc := range []struct {
		desc                  string
		cleanup, linger, wait time.Duration
	}{
		{desc: "call ends soon", cleanup: time.Second / 2, linger: time.Second, wait: time.Second / 2},
		{desc: "call hangs", cleanup: time.Hour, linger: time.Second, wait: time.Second},
		{desc: "not asked for", cleanup: time.Hour},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g group
				var first, last sync.WaitGroup
				options := onecall.Options{Linger: tc.linger}
				ctx, leaveFirst := context.WithCancel(t.Context())
				do(ctx, t, &first, &g, options, deaf(tc.cleanup, "late", nil), "", context.Canceled)
				ctx, leaveLast := context.WithCancel(t.Context())
				do(ctx, t, &last, &g, options, nil, "", context.Canceled)
				start := time.Now()
				leaveFirst()
				first.Wait()
				require.Zero(t, time.Since(start))
				leaveLast()
				last.Wait()
				require.Equal(t, tc.wait, time.Since(start))
				time.Sleep(tc.cleanup)
			})
		})
	}
}

// A panic is for one goroutine: the one whose call it is, or else one that waits for it.
func TestPanicReachesOne(t *testing.T) {
	for _, left := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var g group
			var wg sync.WaitGroup
			release := make(chan struct{})
			ctx, leave := context.WithCancel(t.Context())
			var panics atomic.Int32
			for i := range 4 {
				wg.Go(func() {
					defer func() {
						v := recover()
						if v == nil {
							return
						}
						p, ok := v.(*onecall.Panic)
						require.True(t, ok)
						require.ErrorIs(t, p, errFailed)
						require.Equal(t, errFailed, p.Value)
						require.Contains(t, p.Error(), "failed\n\n")
						require.Contains(t, p.Error(), "broken")
						require.Equal(t, left, i > 0)
						panics.Add(1)
					}()
					_, err := g.Do(ctx, "key", onecall.Options{}, func(context.Context) (string, error) {
						<-release
						return broken()
					})
					if i > 0 {
						require.ErrorContains(t, err, "panicked in another goroutine")
					} else {
						require.ErrorIs(t, err, context.Canceled)
					}
				})
				synctest.Wait()
				ctx = t.Context() // of the others
			}
			if left {
				leave()
				synctest.Wait()
			}
			close(release)
			wg.Wait()
			leave()
			require.EqualValues(t, 1, panics.Load())
			got, err := g.Do(t.Context(), "key", onecall.Options{}, returns("next", nil))
			require.NoError(t, err)
			require.Equal(t, "next", got)
		})
	}
}

func broken() (string, error) { panic(errFailed) }

func TestPanicThatIsNoErrorUnwrapsToNothing(t *testing.T) {
	require.NoError(t, (&onecall.Panic{Value: "text"}).Unwrap())
}

func TestPanicReachesTheOneThatCameAfterItWasCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		do(ctx, t, &wg, &g, onecall.Options{}, func(context.Context) (string, error) {
			<-release
			return broken()
		}, "", context.Canceled)
		cancel()
		wg.Wait()
		wg.Go(func() {
			require.Panics(t, func() { g.Do(t.Context(), "key", onecall.Options{}, returns("", nil)) })
		})
		synctest.Wait()
		close(release)
		wg.Wait()
	})
}

// The test binary is the program that ends.
func TestPanicThatNobodyWaitsForEndsTheProgram(t *testing.T) {
	const variable = "PROXYAUTH_TEST_PANIC"
	if os.Getenv(variable) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), variable+"=1")
		output, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(output), "panic: ")
		require.Contains(t, string(output), "failed")
		return
	}
	var g group
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan struct{})
	g.Do(ctx, "key", onecall.Options{}, func(context.Context) (string, error) {
		cancel()
		<-left
		return broken()
	})
	close(left)
	select {}
}

func TestCallThatEndsItsGoroutine(t *testing.T) {
	var g group
	_, err := g.Do(t.Context(), "key", onecall.Options{}, func(context.Context) (string, error) {
		runtime.Goexit()
		return "", nil
	})
	require.ErrorContains(t, err, "ended without a result")
}

// Callers come and go at random. Never are two calls of one key under way, and each
// caller gets a value or its own context's error.
func TestManyCallers(t *testing.T) {
	var g onecall.Group[int, int]
	var running [4]atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 200 {
				key := (i + n) % len(running)
				ctx, cancel := context.WithCancel(t.Context())
				if n%3 == 0 {
					go cancel()
				}
				got, err := g.Do(ctx, key, onecall.Options{}, func(ctx context.Context) (int, error) {
					if running[key].Add(1) != 1 {
						t.Error("two calls of one key")
					}
					defer running[key].Add(-1)
					runtime.Gosched()
					return key, ctx.Err()
				})
				if err == nil && got != key || err != nil && n%3 != 0 {
					t.Error("result of another call", got, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}

func TestGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		never := func(string) { t.Error("late") }
		got, err, left := onecall.Go(t.Context(), func() (string, error) { return "value", errFailed }, never)
		require.Equal(t, "value", got)
		require.Equal(t, errFailed, err)
		require.False(t, left)

		for desc, f := range map[string]func() (string, error){
			"a panic": broken,
			"a panic of a call": func() (string, error) {
				return g.Do(t.Context(), "key", onecall.Options{}, func(context.Context) (string, error) { return broken() })
			},
		} {
			func() {
				defer func() {
					p, ok := recover().(*onecall.Panic)
					require.True(t, ok, desc)
					require.Equal(t, errFailed, p.Value, desc)
					require.Contains(t, p.Error(), "broken", desc)
				}()
				onecall.Go(t.Context(), f, never)
			}()
		}

		_, err, left = onecall.Go(t.Context(), func() (string, error) { runtime.Goexit(); return "", nil }, never)
		require.Error(t, err)
		require.False(t, left)

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errFailed)
		late := make(chan string)
		_, err, left = onecall.Go(ctx, func() (string, error) { time.Sleep(time.Second); return "value", nil }, func(v string) { late <- v })
		require.Equal(t, errFailed, err)
		require.True(t, left)
		require.Equal(t, "value", <-late)
	})
}
