package e2e_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// denying answers 407, with the mechanism's challenge, what it lets through to other
// hosts: as squid does where a rule that denies ends in a user.
func denying(m testproxy.Mechanism, host string) testproxy.Fault {
	return func(leg *testproxy.Leg) *testproxy.Action {
		if leg.Status != http.StatusOK || !isFor(leg, host) {
			return nil
		}
		challenges := []string{"NTLM"}
		if m.Scheme() != "NTLM" {
			challenges = m.Challenge(nil)
		}
		return &testproxy.Action{Status: http.StatusProxyAuthRequired, Challenges: challenges}
	}
}

// A target that is denied by a 407 fails for itself. The password is as good as before.
func TestDeniedTargetFailsAlone(t *testing.T) {
	t.Parallel()
	eachScheme(t, "", func(t testing.TB, m testproxy.Mechanism, w way) {
		l, provider := newCaseLab(t, password, m)
		l.proxy.SetFault(denying(m, deniedHost))
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		for i := range 5 {
			requireCauseNamed(t, "denied", w.reach(t.Context(), l.rt, deniedHost))
			require.NoError(t, w.reach(t.Context(), l.rt, otherHost(i)))
		}
		for _, err := range together(20, func(i int) error { return w.reach(t.Context(), l.rt, otherHost(i%5)) }) {
			require.NoError(t, err)
		}
		require.Empty(t, provider.rejected)
		denied := 0
		for _, leg := range l.completing() {
			if isFor(&leg, deniedHost) {
				denied++
			}
		}
		require.LessOrEqual(t, denied, 2, "authorizations in a minute")
	})
}

// So does one that answers 407 itself, through a proxy that passes the challenge on.
func TestOriginsChallengeConcernsItAlone(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		holds(t, scheme, func(t testing.TB) {
			l, provider := newCaseLab(t, password, mechanismOf(scheme))
			l.proxy.SetFault(testproxy.OnLeg(func(leg *testproxy.Leg) bool {
				return leg.Status == http.StatusOK && isFor(leg, deniedHost)
			}, &testproxy.Action{Status: http.StatusProxyAuthRequired, Challenges: []string{`Basic realm="origin"`}}))
			require.NoError(t, fetch(t.Context(), l.rt, originHost))
			for i := range 5 {
				require.Error(t, fetch(t.Context(), l.rt, deniedHost))
				require.NoError(t, fetch(t.Context(), l.rt, otherHost(i)))
			}
			require.Empty(t, provider.rejected)
			for _, sent := range l.schemesSent() {
				require.Equal(t, scheme, sent)
			}
		})
	}
}
