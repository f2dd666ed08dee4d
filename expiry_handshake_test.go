package proxyauth_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

// TestLeaseEndsInTheHandshake has a proxy whose challenge takes longer than the
// password is good for: that is not proved any more, and another one is asked for.
func TestLeaseEndsInTheHandshake(t *testing.T) {
	for _, proved := range []bool{false, true} {
		eachWay(t, map[bool]string{false: "cold", true: "warm"}[proved], func(t *testing.T, w way) {
			m := &testproxy.NTLM{}
			l, p := newLeasedLab(t, m)
			l.rt.LegTimeout = 2 * lease
			if proved {
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				synctest.Wait()
				l.hangUp()
				l.proxy.Reset()
				time.Sleep(lease - time.Second)
			}
			before := len(p.asked)
			slow := true
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				if slow && strings.HasPrefix(leg.Header.Get("Proxy-Authorization"), negotiateToken) {
					slow = false
					time.Sleep(lease)
					l.know(m, "of nobody") // until the provider is asked
				}
				return nil
			})
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.Zero(t, l.failures(m), "the old password was proved")
			require.Empty(t, p.rejected)
			require.Empty(t, l.proxy.Violations())
			require.Greater(t, len(p.asked), before)
		})
	}
}

// TestLeaseThatCanNotBeUsed has leases that end before anything can be sent.
func TestLeaseThatCanNotBeUsed(t *testing.T) {
	eachWay(t, "", func(t *testing.T, w way) {
		l, p := newLeasedLab(t, &testproxy.Basic{Realm: "lab"})
		p.grant = func(n int) (string, time.Time, error) {
			return leased(n), time.Now().Add(time.Nanosecond), nil
		}
		l.rt.Schemes = []proxyauth.Scheme{slowScheme{basic.Scheme{}}}
		requireCause(t, proxyauth.NoCredentials, w.reach(t.Context(), l.rt, originHost))
		require.LessOrEqual(t, p.n, 3*proxyauth.MaxLegs)
		for _, leg := range l.proxy.Legs() {
			require.Empty(t, leg.Scheme)
		}
	})
}

// A slowScheme takes its time to begin.
type slowScheme struct{ proxyauth.Scheme }

func (s slowScheme) NewSession(ctx context.Context, e proxyauth.Exchange) (proxyauth.Session, error) {
	time.Sleep(time.Second)
	return s.Scheme.NewSession(ctx, e)
}
