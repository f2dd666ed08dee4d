package e2e_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A wrong secret costs no more than the budget, however many ask at once, in each scheme,
// forwarded and tunnelled. Unless PROXYAUTH_THOROUGH is set, each row is for one scheme.
func TestWrongPasswordKeepsTheBudget(t *testing.T) {
	t.Parallel()
	unclear := []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout}
	for row, tt := range []struct {
		desc    string
		atOnce  int
		reply   func(n int) reply
		refused int // at most
		most    int // under way at once
	}{
		{"refused at once", 1000, func(int) reply { return refuses(0) }, 2, 1},
		{"refused after 9 s", 100, func(int) reply { return refuses(9 * time.Second) }, 2, 1},
		{"refused after 15 s", 100, func(int) reply { return refuses(15 * time.Second) }, 3, 2},
		{"refused after 45 s", 1000, func(int) reply { return refuses(45 * time.Second) }, 4, 4},
		{"refused after answers without a verdict", 1000, func(n int) reply {
			if n <= len(unclear) {
				return answers(time.Second, unclear[n-1])
			}
			return refuses(time.Second)
		}, 4, 4},
		{"closed", 1000, func(int) reply { return closes(0, testproxy.OnRequest) }, 0, 1},
		{"closed in the answer", 100, func(int) reply { return closes(0, testproxy.InHeader) }, 0, 1},
		{"never a verdict", 1000, func(n int) reply { return answers(5*time.Second, unclear[n%len(unclear)]) }, 0, 4},
	} {
		atOnce := sample.Size(tt.atOnce/10, tt.atOnce)
		if raceEnabled {
			atOnce = tt.atOnce / 10
		}
		for _, scheme := range sample.Of(row, []string{"Basic", "Digest", "NTLM", "Negotiate"}) {
			sampleWays(t, row/4, tt.desc+", "+scheme, func(t testing.TB, w way) {
				p := newPeer(t, wrongPassword, peerMechanism(scheme), tt.reply)
				p.hour(t, w, atOnce)
				p.requireBudget(t, tt.refused)
				require.Positive(t, p.legs)
				require.LessOrEqual(t, p.most, tt.most, "under way at once")
				if tt.refused == 2 {
					first, second := p.sendings[0], p.sendings[1]
					require.NotEqual(t, first.target, second.target)
					require.GreaterOrEqual(t, second.begin-first.end, time.Minute)
				}
			})
		}
	}
}

// A 407 that the scheme can't take after its proof may be a refusal.
func TestUnanswerableChallengeKeepsTheBudget(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Digest", "Negotiate"} {
		eachHolds(t, scheme, func(t testing.TB, w way) {
			p := newPeer(t, wrongPassword, peerMechanism(scheme), func(int) reply { return unanswerable(0, scheme) })
			p.hour(t, w, 10)
			p.requireBudget(t, 0)
			require.Positive(t, p.legs)
			require.Equal(t, 1, p.most, "under way at once")
		})
	}
}

// hour makes requests for an hour: many at once, again to another target when a refused
// secret may be tried there, and one from time to time.
func (p *peer) hour(t testing.TB, w way, atOnce int) {
	var all sync.WaitGroup
	defer all.Wait()
	crowd := func(n int, host string) {
		for range n {
			all.Go(func() { p.reach(t.Context(), w, host) })
		}
	}
	crowd(atOnce, originHost)
	time.AfterFunc(61*time.Second, func() { crowd(100, otherHost(0)) })
	for i := 0; time.Since(p.start) < time.Hour; i++ {
		crowd(1, otherHost(i%5))
		if time.Since(p.start) < 2*time.Minute {
			time.Sleep(5 * time.Second)
		} else {
			time.Sleep(20 * time.Second)
		}
	}
}
