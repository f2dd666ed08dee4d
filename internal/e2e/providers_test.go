package e2e_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A hangingWitness is a witness that hangs when it is told something, until resume is
// closed. What it is told comes one at a time.
type hangingWitness struct {
	witness
	resume chan struct{}
	busy   atomic.Bool
	atOnce atomic.Bool // it was told something while it was busy
}

func (w *hangingWitness) hang() {
	if !w.busy.CompareAndSwap(false, true) {
		w.atOnce.Store(true)
		return
	}
	defer w.busy.Store(false)
	<-w.resume
}

func (w *hangingWitness) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	w.hang()
	w.witness.Accepted(ctx, req, c)
}

func (w *hangingWitness) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	w.hang()
	w.witness.Rejected(ctx, req, c)
}

// An observer that hangs, as a keyring does whose daemon is dead, holds up no answer. It
// is told what has become of its credentials all the same, in order and one at a time.
func TestObserverThatHangsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	for row, tt := range []struct {
		desc               string
		passwords          []string
		accepted, rejected []string
		most               time.Duration
	}{
		{"Accepted", []string{password}, []string{password}, nil, 0},
		// The provider is asked when it knows of the refusal, or a second later.
		{"Rejected", []string{wrongPassword, password}, []string{password}, []string{wrongPassword}, time.Second},
		{"Rejected twice", []string{wrongPassword, "another", password}, []string{password}, []string{wrongPassword, "another"}, 2 * time.Second},
	} {
		sampleSchemes(t, row, tt.desc, func(t testing.TB, m testproxy.Mechanism, w way) {
			l, _ := newCaseLab(t, password, m)
			observer := &hangingWitness{witness: witness{answer: untilRejected(tt.passwords...)}, resume: make(chan struct{})}
			l.rt.Credentials = observer
			start := time.Now()
			for round := range 2 {
				for _, err := range together(50, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
					require.NoError(t, err)
				}
				require.LessOrEqual(t, time.Since(start), tt.most, "round %d", round)
			}
			synctest.Wait()
			require.Empty(t, observer.accepted)
			close(observer.resume)
			synctest.Wait()
			require.Equal(t, tt.accepted, observer.accepted)
			require.Equal(t, tt.rejected, observer.rejected)
			require.False(t, observer.atOnce.Load())
		})
	}
}

// Requests that wait for the same question get its error, and the next one asks anew.
func TestErrorOfTheProviderIsShared(t *testing.T) {
	t.Parallel()
	errVault := errors.New("the vault is sealed")
	for desc, fail := range map[string]error{"fails": errVault, "has none": proxyauth.ErrNoCredentials} {
		eachScheme(t, desc, func(t testing.TB, m testproxy.Mechanism, w way) {
			l, _ := newCaseLab(t, password, m)
			l.rt.ErrorOn407 = true
			var calls atomic.Int64
			l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
				calls.Add(1)
				time.Sleep(300 * time.Millisecond)
				return proxyauth.Credentials{}, fail
			})
			for round := range 2 {
				start := time.Now()
				for _, err := range together(40, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
					require.ErrorIs(t, err, fail)
				}
				require.Equal(t, 300*time.Millisecond, time.Since(start))
				require.EqualValues(t, round+1, calls.Load())
			}
		})
	}
}

// Nor does a provider that hangs hang for longer than each request's own context. It is
// asked by one request at a time, and once if all have the same patience.
func TestProviderThatHangsIsAskedOnce(t *testing.T) {
	t.Parallel()
	for desc, step := range map[string]time.Duration{"same deadline": 0, "one after the other": 100 * time.Millisecond} {
		eachScheme(t, desc, func(t testing.TB, m testproxy.Mechanism, w way) {
			l, _ := newCaseLab(t, password, m)
			var calls, running atomic.Int64
			l.rt.Credentials = proxyauth.CredentialsFunc(func(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
				calls.Add(1)
				if running.Add(1) > 1 {
					t.Error("two at once")
				}
				defer running.Add(-1)
				<-ctx.Done()
				return proxyauth.Credentials{}, context.Cause(ctx)
			})
			start := time.Now()
			for n, err := range together(40, func(n int) error {
				timeout := 3*time.Second + time.Duration(n)*step
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				err := w.reach(ctx, l.rt, originHost)
				if took := time.Since(start); took != timeout {
					t.Errorf("request %d took %v", n, took)
				}
				return err
			}) {
				require.ErrorIs(t, err, context.DeadlineExceeded, n)
			}
			if step == 0 {
				require.EqualValues(t, 1, calls.Load())
			}
		})
	}
}

// A slowWitness is a witness that takes a while to answer.
type slowWitness struct{ witness }

func (w *slowWitness) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	time.Sleep(10 * time.Millisecond)
	return w.witness.Credentials(ctx, req)
}

// The provider may be asked by a request whose credentials were refused, and by one that doubts
// them, at once. It is told once of the credentials that it answers both with.
func TestObserverIsToldOnceOfTwoAnswers(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest"} {
		eachHolds(t, scheme, func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, mechanismOf(scheme))
			observer := &slowWitness{witness{answer: untilRejected(password, "changed")}}
			l.rt.Credentials = observer
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.users.SetPassword(user, "changed")
			for range 2 {
				l.hangUp()
				together(20, func(int) error { return w.reach(t.Context(), l.rt, originHost) })
				time.Sleep(70 * time.Second) // the target was denied
			}
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			synctest.Wait()
			require.Equal(t, []string{password, "changed"}, observer.accepted)
			require.Equal(t, []string{password}, observer.rejected)
		})
	}
}
