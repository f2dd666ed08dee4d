package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// This file holds the rules on lost exchanges and refusals that are going to be replaced:
// pauses of 10 s that begin with the second loss, an outage that is over at once, a 401 to
// known credentials that is tried again, opening legs that are given up whatever their
// answer. It is deleted with them.

// TestRefusedByClosing has a proxy that answers a wrong password by closing the
// connection. It is shown the password twice, however many ask, and then no more for
// a while.
func TestRefusedByClosing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 100} {
		for _, at := range []testproxy.Point{testproxy.BeforeAnswer, testproxy.InHeader} {
			eachMechanism(t, "", func(t *testing.T, m testproxy.Mechanism, w way) {
				l, _ := newWitnessedLab(t, m, always(wrongPassword))
				l.proxy.SetFault(closing(at))
				for _, err := range together(n, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
					require.Error(t, err)
				}
				for range 10 {
					require.Error(t, w.reach(t.Context(), l.rt, originHost))
				}
				require.LessOrEqual(t, l.failures(m), 2)
				seen := l.failures(m)
				requireCause(t, broken, w.reach(t.Context(), l.rt, originHost))
				require.Equal(t, seen, l.failures(m))

				time.Sleep(24 * time.Hour)
				for range 10 {
					require.Error(t, w.reach(t.Context(), l.rt, originHost))
				}
				require.LessOrEqual(t, l.failures(m), seen+3, "on another day")
			})
		}
	}
}

// TestSparedForPauses has a password that is right, but whose proof was lost twice.
func TestSparedForPauses(t *testing.T) {
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
		requireCause(t, broken, w.reach(t.Context(), l.rt, originHost))
		l.proxy.SetFault(nil)
		l.proxy.Reset()
		requireCause(t, broken, w.reach(t.Context(), l.rt, originHost))
		for _, leg := range l.proxy.Legs() {
			require.True(t, leg.Scheme == "" || strings.HasPrefix(leg.Header.Get("Proxy-Authorization"), negotiateToken))
		}
		return l, p
	}
	eachMechanism(t, "after a while", func(t *testing.T, m testproxy.Mechanism, w way) {
		l, _ := lost(t, m, w)
		time.Sleep(4 * lostPause)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	})
}

// TestOutageIsOverAtOnce has what stands before a proxy close each connection for an
// hour, from the first proof on.
func TestOutageIsOverAtOnce(t *testing.T) {
	t.Parallel()
	for _, preemptive := range []bool{false, true} {
		eachMechanism(t, fmt.Sprint("preemptive ", preemptive), func(t *testing.T, m testproxy.Mechanism, w way) {
			l, _ := newWitnessedLab(t, m, always(password))
			l.rt.Preemptive = preemptive
			if preemptive {
				l.rt.Schemes = slices.DeleteFunc(allSchemes(), func(s proxyauth.Scheme) bool { return s.Name() != m.Scheme() })
			}
			start := time.Now()
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				if time.Since(start) > time.Hour || leg.Header.Get("Proxy-Authorization") == "" && time.Since(start) == 0 {
					return nil
				}
				return testproxy.DropAt(testproxy.OnRequest)
			})
			for time.Since(start) <= time.Hour {
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
				time.Sleep(10 * time.Second)
			}
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		})
	}
}

// TestUnauthorizedTunnelOfKnownCredentials has a proxy say 401 to credentials that it has
// accepted.
func TestUnauthorizedTunnelOfKnownCredentials(t *testing.T) {
	t.Parallel()
	t.Run("once, to what it has accepted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := basicLab(t, nil)
			require.NoError(t, tunnel(t.Context(), l.rt, originHost))
			l.proxy.SetFault(testproxy.Once(unauthorized("Basic")))
			require.NoError(t, tunnel(t.Context(), l.rt, originHost))
			require.NoError(t, tunnel(t.Context(), l.rt, originHost))
		})
	})
	t.Run("to a wrong password", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := basicLab(t, nil)
			require.NoError(t, tunnel(t.Context(), l.rt, originHost))
			l.proxy.Reset()
			l.proxy.SetFault(unauthorized("Basic"))
			for range 3 {
				requireCause(t, proxyauth.CauseCredentialsRejected, tunnel(t.Context(), l.rt, originHost))
			}
			proofs := 0
			for _, leg := range l.proxy.Legs() {
				if leg.Scheme == "Basic" {
					proofs++
				}
			}
			require.Equal(t, 2, proofs, "the one that had been accepted, and the one that answered a challenge")
		})
	})
}

// A proxy that answers what opens a connection itself, and closes it, is given up.
func TestNegotiateOpeningAnswered(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 403, 502} {
		r := newRealm(t)
		bubble(t, http.StatusText(status), func(t *testing.T) {
			r.Remove(proxySPN)
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{Server: withNTLM(nil, spnegoserver.Faults{})}, testproxy.Config{
				Fault: testproxy.OnScheme("Negotiate", &testproxy.Action{Status: status, SayClose: true}),
			})
			e := requireCause(t, proxyauth.CauseHandshakeBroken, fetch(t.Context(), l.rt, originHost))
			require.ErrorContains(t, e, fmt.Sprintf("(status %d)", status))
			require.Equal(t, map[string]int{"GET 407": 1, fmt.Sprint("GET Negotiate ", status): maxBroken}, l.tally())
		})
	}
}
