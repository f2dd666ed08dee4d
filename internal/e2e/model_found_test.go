package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// What TestStateMachine has found, one by one.

// net/http answers a POST on an HTTP/2 connection that it has already with a copy
// of the request.
func TestResponseRequestOverHTTP2(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		for range 2 {
			req := l.request(http.MethodPost, httpsOrigin, strings.NewReader("body"))
			resp, _, err := l.do(req)
			require.NoError(t, err)
			require.Equal(t, "HTTP/2.0", resp.Proto)
			require.Same(t, req, resp.Request)
		}
	})
}

// A proxy that answers NTLM's first message with an offer of something else is
// asked once more what it wants, not greeted again and again.
func TestSchemeWithdrawnMidway(t *testing.T) {
	t.Parallel()
	const ntlmOnly = "NTLM"
	fault := func() testproxy.Fault { return testproxy.Once(testproxy.On(407, testproxy.Offer(ntlmOnly))) }
	for _, downgrade := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}}, Fault: fault()})
			l.rt.InsecureAllowDowngrade = downgrade
			resp, _, err := l.do(l.request(http.MethodGet, httpOrigin+"/a", nil))
			require.NoError(t, err)
			if !downgrade {
				require.Equal(t, proxyauth.CausePolicyForbids, explained(resp).Cause)
				l.legs("GET /a -> 407", "open NTLM -> 407", "GET /a -> 407")
				return
			}
			require.Equal(t, http.StatusOK, resp.StatusCode)
			l.legs("GET /a -> 407", "open NTLM -> 407", "GET /a -> 407", "= GET /a Digest -> 200")
		})
	}
	t.Run("for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, testproxy.Config{Fault: func(leg *testproxy.Leg) *testproxy.Action {
				if leg.Scheme == "" {
					return &testproxy.Action{Status: 407, Challenges: []string{ntlmOnly}}
				}
				return &testproxy.Action{Status: 407, Challenges: []string{"Bearer"}}
			}})
			resp, _, err := l.do(l.request(http.MethodGet, httpOrigin+"/a", nil))
			require.NoError(t, err)
			require.Equal(t, proxyauth.CauseHandshakeBroken, explained(resp).Cause)
			require.LessOrEqual(t, len(l.proxy.Legs()), 2*maxBroken)
		})
	})
}

// A nonce that is stale as soon as it is issued says nothing of the password, which
// is not given up.
func TestStaleTwiceIsNoRejection(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		synctest.Test(t, func(t *testing.T) {
			mechanism := &testproxy.Digest{Realm: "lab", Stale: testproxy.StaleSquid}
			l, w := newWitnessedLab(t, mechanism, always(password))
			require.NoError(t, way.reach(t.Context(), l.rt, originHost))
			l.tally()
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				mechanism.ForgetNonces() // after it has been issued
				return nil
			})
			mechanism.ForgetNonces()
			err := way.reach(t.Context(), l.rt, originHost)
			require.ErrorContains(t, err, "session expired")
			require.Equal(t, map[string]int{way.method + " Digest 407": 2}, l.tally())
			require.Empty(t, w.rejected)
			l.proxy.SetFault(nil)
			require.NoError(t, way.reach(t.Context(), l.rt, originHost))
			require.Len(t, w.asked, 1)
		})
	}
}

// An HTTP/2 connection that was in use when its proxy was forgotten can still be
// closed when it is idle.
func TestCloseIdleConnectionsAfterReset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		hold := make(chan struct{})
		testproxy.StartOrigin(t, testproxy.OriginConfig{
			Network: l.network, Addr: originHost + ":8443", TLS: originConfig,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush()
				<-hold
			}),
		})
		resp, err := l.rt.RoundTrip(l.request(http.MethodGet, httpsOrigin+":8443", nil))
		require.NoError(t, err)
		require.Equal(t, "HTTP/2.0", resp.Proto)
		l.rt.Reset()
		close(hold)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		synctest.Wait()
		require.Equal(t, 1, openConns(l.proxy))
		l.hangUp()
		synctest.Wait()
		require.Zero(t, openConns(l.proxy))
	})
}
