package e2e_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

// What passed unasked at a target that is exempt in part makes a wrong password no right one.
func TestPassOfAPartIsNoAcceptance(t *testing.T) {
	t.Parallel()
	eachHolds(t, "", func(t testing.TB, w way) {
		var closed atomic.Bool
		l := newLab(t, testproxy.Config{
			Auth:      []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
			Hosts:     otherHosts,
			Anonymous: func(target string) bool { return !closed.Load() },
		})
		l.rt.Credentials = &witness{answer: always(wrongPassword)}
		l.rt.Preemptive, l.rt.Schemes = true, []proxyauth.Scheme{basic.Scheme{}}
		l.proxy.SetFault(slowly(50 * time.Millisecond))
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		closed.Store(true)
		for _, err := range crowd(t, l, w, 50) {
			require.Error(t, err)
		}
		require.LessOrEqual(t, l.users.Failures(user), 2)
	})
}
