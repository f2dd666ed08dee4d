package e2e_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

func eachMechanism(t *testing.T, desc string, f func(t *testing.T, m testproxy.Mechanism, w way)) {
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		eachWay(t, scheme+", "+desc, func(t *testing.T, w way) { f(t, mechanismOf(scheme), w) })
	}
}

// TestSparedNoLonger has a password that is right, but whose exchanges were lost:
// it is spared no longer than it must, nor is another one, nor for anybody who knows
// better.
func TestSparedNoLonger(t *testing.T) {
	t.Parallel()
	lost := func(t *testing.T, m testproxy.Mechanism, w way) (*lab, *witness) {
		l, p := newWitnessedLab(t, m, always(password))
		l.proxy.SetFault(testproxy.OnLeg(func(leg *testproxy.Leg) bool {
			auth := leg.Header.Get("Proxy-Authorization")
			return auth != "" && !strings.HasPrefix(auth, negotiateToken)
		}, testproxy.DropAt(testproxy.OnRequest)))
		for range 3 {
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
		}
		l.proxy.SetFault(nil)
		return l, p
	}
	eachMechanism(t, "after a while", func(t *testing.T, m testproxy.Mechanism, w way) {
		l, _ := lost(t, m, w)
		time.Sleep(maxPause)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	})
	eachMechanism(t, "after Reset", func(t *testing.T, m testproxy.Mechanism, w way) {
		l, _ := lost(t, m, w)
		l.rt.Reset()
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	})
	eachMechanism(t, "with another one", func(t *testing.T, m testproxy.Mechanism, w way) {
		l, p := lost(t, m, w)
		p.answer = always("another")
		l.users.SetPassword(user, "another")
		if n, ok := m.(*testproxy.NTLM); ok {
			n.Server.Users = map[string]string{user: "another"}
		}
		l.rt.Reset() // which makes it ask for it
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	})
}

// TestImpatientCallers has callers that wait no longer than a directory takes to
// refuse a wrong password.
func TestImpatientCallers(t *testing.T) {
	t.Parallel()
	eachMechanism(t, "", func(t *testing.T, m testproxy.Mechanism, w way) {
		l, _ := newWitnessedLab(t, m, always(wrongPassword))
		l.proxy.SetFault(slowly(3 * time.Second))
		for range 30 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			require.Error(t, w.reach(ctx, l.rt, originHost))
			cancel()
		}
		require.LessOrEqual(t, l.failures(m), 6, "in a minute")
	})
	// Nor does it help a peer to break off when they have left.
	for desc, broken := range map[string]func(scheme string, n int) reply{
		"closed":     func(string, int) reply { return closes(3*time.Second, testproxy.OnRequest) },
		"in circles": func(scheme string, n int) reply { return circle(3*time.Second, scheme, uint64(n)) },
	} {
		eachMechanism(t, desc, func(t *testing.T, m testproxy.Mechanism, w way) {
			p := newPeer(t, wrongPassword, m, func(n int) reply { return broken(m.Scheme(), n) })
			for range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				require.Error(t, p.reach(ctx, w, originHost))
				cancel()
			}
			p.requireBudget(t, 1)
		})
	}
	// And a right one, at an origin server that does not answer.
	eachMechanism(t, "slow origin", func(t *testing.T, m testproxy.Mechanism, w way) {
		l, _ := newWitnessedLab(t, m, always(password))
		l.proxy.SetFault(slowly(3 * time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		require.ErrorIs(t, w.reach(ctx, l.rt, originHost), context.DeadlineExceeded)
		l.proxy.SetFault(nil)
		start := time.Now()
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.LessOrEqual(t, time.Since(start), 2*time.Second, "no longer than for the answer to the first")
	})
}

// TestSlowProvider has a person type the password: she is asked once.
func TestSlowProvider(t *testing.T) {
	t.Parallel()
	eachMechanism(t, "", func(t *testing.T, m testproxy.Mechanism, w way) {
		l, _ := newWitnessedLab(t, m, nil)
		var mu sync.Mutex
		asked := 0
		l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			mu.Lock()
			asked++
			mu.Unlock()
			time.Sleep(3 * patience)
			return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
		})
		for _, err := range together(20, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, 1, asked)
	})
}

// TestRefusedMeanwhile has a request that is slow in its handshake find, when it comes
// to prove the password, that it has been refused to another.
func TestRefusedMeanwhile(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		m := &testproxy.NTLM{}
		l, _ := newWitnessedLab(t, m, func(req *proxyauth.CredentialsRequest) (string, error) {
			if len(req.Rejected) == 0 {
				return wrongPassword, nil
			}
			return password, nil
		})
		var slow atomic.Bool
		l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
			if strings.HasPrefix(leg.Header.Get("Proxy-Authorization"), negotiateToken) && slow.CompareAndSwap(false, true) {
				time.Sleep(patience + 5*time.Second)
			}
			return nil
		})
		for _, err := range together(2, func(i int) error {
			time.Sleep(time.Duration(i) * time.Second)
			return w.reach(t.Context(), l.rt, originHost)
		}) {
			require.NoError(t, err)
		}
		require.Equal(t, 1, l.failures(m))
		require.Empty(t, l.proxy.Violations())
	})
}
