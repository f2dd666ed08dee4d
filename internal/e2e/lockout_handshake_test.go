package e2e_test

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A request that is in its handshake when the password falls into doubt gives its connection back
// before it waits for a turn: whoever has that may wait for a connection.
func TestHandshakeInDoubtGivesItsConnectionBack(t *testing.T) {
	t.Parallel()
	holds(t, "NTLM", func(t testing.TB) {
		m := mechanismOf("NTLM")
		l, _ := newCaseLab(t, password, m)
		l.base.MaxConnsPerHost = 2
		l.proxy.SetFault(testproxy.OnLeg(func(leg *testproxy.Leg) bool { return isFor(leg, freeHost) || isFor(leg, otherHost(0)) }, testproxy.Refuse(http.StatusOK, "free")))
		for _, host := range []string{freeHost, otherHost(0), originHost} {
			require.NoError(t, forwarded.reach(t.Context(), l.rt, host))
		}
		l.rt.CloseIdleConnections()
		denied := denying(m, deniedHost)
		l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
			switch {
			case isFor(leg, originHost):
				time.Sleep(3 * time.Second)
			case isFor(leg, otherHost(0)):
				time.Sleep(time.Minute)
				return testproxy.Refuse(http.StatusOK, "free")
			}
			return denied(leg)
		})
		var all sync.WaitGroup
		quickly := func(ctx context.Context, host string) {
			all.Go(func() {
				start := time.Now()
				require.NoError(t, forwarded.reach(ctx, l.rt, host))
				require.Less(t, time.Since(start), 10*time.Second, host) // after which others need not wait for a turn
			})
			synctest.Wait()
		}
		hooks := 0
		quickly(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) {
			if hooks++; hooks > 1 { // it has its turn, the second time one that was revoked first
				time.Sleep(time.Second)
			}
		}}), freeHost)
		quickly(t.Context(), originHost) // has sent its first message when the doubt begins
		requireCauseNamed(t, "denied", tunnelled.reach(t.Context(), l.rt, deniedHost))
		time.Sleep(time.Second + time.Second/2)
		all.Go(func() { require.NoError(t, forwarded.reach(t.Context(), l.rt, otherHost(0))) }) // takes the other connection
		all.Wait()
	})
}
