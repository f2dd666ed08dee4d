package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// What a proxy offers in answer to a scheme that it was not asked for counts for the floor.
func TestFloorCountsOffersToAGuess(t *testing.T) {
	t.Parallel()
	eachHolds(t, "", func(t testing.TB, w way) {
		weak := &testproxy.Basic{Realm: "lab"}
		l, _ := newCaseLab(t, password, &testproxy.Digest{Realm: "lab"}, weak)
		l.rt.Preemptive = true
		l.proxy.SetFault(testproxy.OnScheme("Digest", testproxy.DropAt(testproxy.OnRequest)))
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		l.proxy.SetAuth(weak)
		for range 3 {
			time.Sleep(time.Minute)
			l.hangUp()
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
		}
		require.NotContains(t, l.schemesSent(), "Basic")
	})
}

// A Digest that was offered and could be answered is not replaced by Basic if it comes in
// an unknown algorithm later.
func TestFloorHoldsAgainstGarbledOffer(t *testing.T) {
	t.Parallel()
	for desc, offer := range map[string]string{
		"algorithm": `Digest realm="lab", nonce="n", qop="auth", algorithm=FOO`,
		"qop":       `Digest realm="lab", nonce="n", qop="foo"`,
		"no nonce":  `Digest realm="lab", qop="auth"`,
		"bare":      `Digest`,
	} {
		eachHolds(t, desc, func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, &testproxy.Digest{Realm: "lab"}, &testproxy.Basic{Realm: "lab"})
			l.proxy.SetFault(testproxy.OnScheme("Digest", testproxy.DropAt(testproxy.OnRequest)))
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
			l.proxy.SetFault(testproxy.On(407, testproxy.Offer(offer, `Basic realm="lab"`)))
			for range 3 {
				time.Sleep(time.Minute)
				l.hangUp()
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
			}
			require.NotContains(t, l.schemesSent(), "Basic")
		})
	}
}
