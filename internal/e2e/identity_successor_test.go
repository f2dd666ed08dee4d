package e2e_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A handshake that ann has begun is not finished as bob's, whose credentials take the place
// of hers meanwhile.
func TestHandshakeEndsWithItsUser(t *testing.T) {
	t.Parallel()
	eachHolds(t, "", func(t testing.TB, w way) {
		l, _ := newCaseLab(t, password, &testproxy.NTLM{})
		var doubted atomic.Bool
		l.rt.Credentials = proxyauth.CredentialsFunc(func(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			if req.Doubted {
				doubted.Store(true)
			}
			if doubted.Load() {
				return credentialsOf("bob", "hunter2"), nil
			}
			return credentialsOf(user, password), nil
		})
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.hangUp()
		slow := testproxy.Once(onToken(negotiateToken, new(testproxy.Action)))
		refused := testproxy.Once(onToken(authenticateToken, &testproxy.Action{Status: http.StatusProxyAuthRequired}))
		l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
			if slow(leg) != nil {
				time.Sleep(time.Second)
				return nil
			}
			return refused(leg)
		})
		errs := together(2, func(int) error { return w.reach(t.Context(), l.rt, originHost) })
		require.Contains(t, errs, nil)
		require.True(t, doubted.Load())
		l.proxy.Reset()
		for range 3 {
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		}
		for _, leg := range l.proxy.Legs() {
			if leg.Status == http.StatusOK {
				require.Equal(t, "bob", leg.User)
			}
		}
		for _, c := range l.proxy.Conns() {
			require.False(t, c.Open && c.User == user && c.Tunnel == "", "a connection of ann's is kept")
		}
	})
}
