package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

// The budget of a secret that was never accepted, whatever a peer does.
const (
	mostInAMinute = 8  // authorizations, of at most 4 turns with a repetition each
	mostInAnHour  = 20 // of at most 10 turns
	mostRefused   = 1  // at one target, in a minute
)

// crowd sends n requests at once and lets each end as it likes.
func crowd(t testing.TB, l *lab, w way, n int) []error {
	return together(n, func(int) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		return w.reach(ctx, l.rt, originHost)
	})
}

// An answer that says nothing of the credentials lets two try, no more.
func TestFailureIsNoAcceptance(t *testing.T) {
	t.Parallel()
	for row, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestHeaderFieldsTooLarge, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		sampleSchemes(t, row, fmt.Sprint(status), func(t testing.TB, m testproxy.Mechanism, w way) {
			if _, ok := m.(*testproxy.NTLM); ok && status == http.StatusUnauthorized && w.method == http.MethodGet {
				return // NTLM has no realm: a 401 is the origin server's, and shows that the proxy has let the request pass
			}
			if status == http.StatusBadRequest && w.method == http.MethodGet {
				return // as of an origin server
			}
			l, _ := newCaseLab(t, wrongPassword, m)
			slow := slowly(50 * time.Millisecond)
			failing := testproxy.Once(testproxy.OnLeg(isCompleting, &testproxy.Action{
				Status: status, Challenges: []string{}, Header: http.Header{"Www-Authenticate": {`Basic realm="lab"`}},
			}))
			l.proxy.SetFault(testproxy.First(failing, slow))
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
			for _, err := range crowd(t, l, w, 50) {
				require.Error(t, err)
			}
			require.LessOrEqual(t, len(l.completing()), 3)
			for range 5 {
				time.Sleep(time.Second)
				requireCauseNamed(t, "credentialsrejected", w.reach(t.Context(), l.rt, originHost))
			}
			require.LessOrEqual(t, len(l.completing()), 3)
		})
	}
}

// A 407 to an authorization is a refusal, whatever it offers.
func TestRefusalMayNameAnything(t *testing.T) {
	t.Parallel()
	for desc, offer := range map[string][]string{"another scheme": {`Unknown realm="lab"`}, "none": {}, "what can't be parsed": {`"`}} {
		eachScheme(t, desc, func(t testing.TB, m testproxy.Mechanism, w way) {
			l, provider := newCaseLab(t, wrongPassword, m)
			l.proxy.SetFault(testproxy.OnLeg(isCompleting, testproxy.Offer(offer...)))
			for range 20 {
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
				time.Sleep(time.Second)
			}
			require.LessOrEqual(t, len(l.completing()), mostRefused)
			require.Equal(t, []string{wrongPassword}, provider.rejected)
		})
	}
}

// An exchange that goes in circles is lost: it is begun again after a pause, and the
// pauses get longer.
func TestCirclesKeepTheBudget(t *testing.T) {
	t.Parallel()
	stale := func() testproxy.Fault {
		var n atomic.Int64
		return func(leg *testproxy.Leg) *testproxy.Action {
			if leg.Scheme != "Digest" {
				return nil
			}
			nonce := fmt.Sprintf(`Digest realm="lab", nonce="n%d", qop="auth", stale=true`, n.Add(1))
			return &testproxy.Action{Status: http.StatusProxyAuthRequired, Challenges: []string{nonce}}
		}
	}
	inTurn := func() testproxy.Fault {
		var n atomic.Int64
		again := stale()
		return func(leg *testproxy.Leg) *testproxy.Action {
			if leg.Scheme == "Digest" && n.Add(1)%2 == 0 {
				return testproxy.DropAt(testproxy.OnRequest)
			}
			return again(leg)
		}
	}
	for row, tt := range []struct {
		desc, scheme string
		fault        func() testproxy.Fault
	}{
		{"stale for ever", "Digest", stale},
		{"stale and closed in turn", "Digest", inTurn},
		{"closed", "Basic", func() testproxy.Fault { return testproxy.OnLeg(isCompleting, testproxy.DropAt(testproxy.OnRequest)) }},
		{"a challenge message after each authentication", "NTLM", func() testproxy.Fault {
			return testproxy.OnLeg(isCompleting, &testproxy.Action{Status: http.StatusProxyAuthRequired, Challenges: []string{"NTLM " + type2}})
		}},
	} {
		for i, secret := range []string{password, wrongPassword} {
			sampleWays(t, row+i, fmt.Sprintf("%s, right %v", tt.desc, secret == password), func(t testing.TB, w way) {
				l, _ := newCaseLab(t, secret, mechanismOf(tt.scheme))
				l.proxy.SetFault(tt.fault())
				start := time.Now()
				for _, err := range crowd(t, l, w, 50) {
					require.Error(t, err)
				}
				for time.Since(start) < time.Minute {
					require.Error(t, w.reach(t.Context(), l.rt, originHost))
					time.Sleep(time.Second)
				}
				require.LessOrEqual(t, len(l.completing()), mostInAMinute, "in a minute")
				for time.Since(start) < time.Hour {
					require.Error(t, w.reach(t.Context(), l.rt, originHost))
					time.Sleep(20 * time.Second)
				}
				require.LessOrEqual(t, len(l.completing()), mostInAnHour, "in an hour")
			})
		}
	}
}

// Credentials that were accepted once, and are wrong since, at a proxy that closes in
// place of refusing: three losses put them in doubt.
func TestAcceptedOnceAndLostSince(t *testing.T) {
	t.Parallel()
	eachScheme(t, "", func(t testing.TB, m testproxy.Mechanism, w way) {
		l, _ := newCaseLab(t, password, m)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.hangUp()
		l.proxy.Reset()
		l.proxy.SetFault(testproxy.OnLeg(isCompleting, testproxy.DropAt(testproxy.BeforeAnswer)))
		start := time.Now()
		for time.Since(start) < time.Minute {
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, len(l.completing()), 3+mostInAMinute)
		for time.Since(start) < time.Hour {
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
			time.Sleep(30 * time.Second)
		}
		require.LessOrEqual(t, len(l.completing()), 3+mostInAnHour)
	})
}

// The pass of a host for which the proxy asks nothing settles nothing. It slows nothing
// down either.
func TestPassOfExemptHostSettlesNothing(t *testing.T) {
	t.Parallel()
	lab := func(t testing.TB, secret string) *lab {
		l := newLab(t, testproxy.Config{
			Auth:      []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}},
			Hosts:     otherHosts,
			Anonymous: func(target string) bool { return strings.Contains(target, freeHost) },
		})
		l.rt.Credentials = &witness{answer: always(secret)}
		l.rt.Preemptive, l.rt.Schemes = true, []proxyauth.Scheme{basic.Scheme{}}
		l.proxy.SetFault(slowly(50 * time.Millisecond))
		return l
	}
	eachHolds(t, "wrong password", func(t testing.TB, w way) {
		l := lab(t, wrongPassword)
		require.NoError(t, w.reach(t.Context(), l.rt, freeHost))
		for _, err := range crowd(t, l, w, 50) {
			require.Error(t, err)
		}
		require.LessOrEqual(t, l.users.Failures(user), 2, "what passed without a verdict lets two try")
	})
	eachHolds(t, "right password", func(t testing.TB, w way) {
		l := lab(t, password)
		require.NoError(t, w.reach(t.Context(), l.rt, freeHost))
		start := time.Now()
		for _, err := range crowd(t, l, w, 50) {
			require.NoError(t, err)
		}
		require.LessOrEqual(t, time.Since(start), time.Second)
	})
}
