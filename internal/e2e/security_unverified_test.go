package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A proxy that fails to prove itself leaves no connection behind.
func TestUnverifiedAnswerLeavesNoConnection(t *testing.T) {
	t.Parallel()
	for _, accepted := range []bool{false, true} {
		eachHolds(t, fmt.Sprint("accepted before ", accepted), func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, &testproxy.Digest{Realm: "lab"})
			l.base.MaxConnsPerHost = 1
			if accepted {
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			}
			l.proxy.SetFault(testproxy.Once(testproxy.OnLeg(func(leg *testproxy.Leg) bool { return leg.Scheme == "Digest" && leg.Status == 200 },
				&testproxy.Action{Fill: 1 << 20, Header: http.Header{"Proxy-Authentication-Info": {`rspauth="00000000000000000000000000000000", cnonce="x", nc=00000001, qop=auth`}}})))
			err := w.reach(t.Context(), l.rt, originHost)
			if err == nil {
				return // nothing was checked
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			require.NoError(t, w.reach(ctx, l.rt, originHost))
		})
	}
}
