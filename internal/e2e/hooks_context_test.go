package e2e_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A hook may use the Transport without the context that it is given.
func TestHooksMayUseTheTransportWithoutTheirContext(t *testing.T) {
	t.Parallel()
	eachScheme(t, "Accepted", func(t testing.TB, m testproxy.Mechanism, w way) {
		l, _ := newCaseLab(t, password, m)
		var busy atomic.Bool
		l.rt.Trace = new(proxyauth.Trace)
		call := func(context.Context) {
			if busy.CompareAndSwap(false, true) {
				defer busy.Store(false)
				_ = w.reach(context.Background(), l.rt, otherHost(0))
			}
		}
		setFunc(&l.rt.Trace.Accepted, call)
		start := time.Now()
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.LessOrEqual(t, time.Since(start), time.Second)
	})
}
