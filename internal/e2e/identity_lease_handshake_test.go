package e2e_test

import (
	"context"
	"net/http"
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
	t.Parallel()
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

// TestSchemeChangesWhileALeaseIsRenewed has a tunnel renew a lease and find out that the
// proxy has turned from NTLM to Digest, while a connection waits for the new password
// in order to authenticate itself. What Digest says is not for the connection: it is of
// another request-target than that of the request behind it.
func TestSchemeChangesWhileALeaseIsRenewed(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		ntlm, digest := &testproxy.NTLM{}, &testproxy.Digest{Realm: "lab"}
		l, p := newLeasedLab(t, ntlm)
		l.adopt(digest)
		l.rt.InsecureAllowDowngrade = true
		require.NoError(t, fetch(t.Context(), l.rt, originHost))
		l.hangUp()
		l.proxy.SetAuth(digest)
		p.grant = func(n int) (string, time.Time, error) {
			time.Sleep(time.Second)
			l.know(digest, leased(n))
			return leased(n), time.Now().Add(lease), nil
		}
		time.Sleep(2 * lease)
		renewal := make(chan error)
		go func() { renewal <- tunnel(t.Context(), l.rt, originHost) }()
		synctest.Wait()
		resp, _, err := l.do(l.request(http.MethodGet, httpOrigin+"/path", nil))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, <-renewal)
		require.Empty(t, l.proxy.Violations())
	})
}

// TestLeaseThatCanNotBeUsed has leases that end before anything can be sent.
func TestLeaseThatCanNotBeUsed(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l, p := newLeasedLab(t, &testproxy.Basic{Realm: "lab"})
		p.grant = func(n int) (string, time.Time, error) {
			return leased(n), time.Now().Add(time.Nanosecond), nil
		}
		l.rt.Schemes = []proxyauth.Scheme{slowScheme{basic.Scheme{}}}
		requireCause(t, proxyauth.CauseNoCredentials, w.reach(t.Context(), l.rt, originHost))
		require.LessOrEqual(t, p.n, 3*maxLegs)
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
