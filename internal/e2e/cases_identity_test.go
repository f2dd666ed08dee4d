package e2e_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// Once NTLM was accepted, broken handshakes open nothing weaker, whatever the
// credentials are by then.
func TestFloorOutlivesTheCredentials(t *testing.T) {
	t.Parallel()
	const second = "second"
	garbage := onToken(negotiateToken, testproxy.Offer("NTLM ????", `Basic realm="lab"`))
	for desc, breakIt := range map[string]testproxy.Fault{
		"garbage":    garbage,
		"closed":     onToken(negotiateToken, testproxy.DropAt(testproxy.OnRequest)),
		"withdrawn":  onToken(negotiateToken, testproxy.Offer(`Basic realm="lab"`)),
		"no message": onToken(negotiateToken, testproxy.Offer("NTLM", `Basic realm="lab"`)),
	} {
		requireNoBasic := func(t testing.TB, l *lab, w way) {
			l.proxy.SetFault(breakIt)
			l.hangUp()
			for range 5 {
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
				time.Sleep(time.Minute)
			}
			require.NotContains(t, l.schemesSent(), "Basic")
		}
		eachHolds(t, desc+", the lease ends", func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, &testproxy.NTLM{}, &testproxy.Basic{Realm: "lab"})
			given := []string{password, second}
			l.rt.Credentials = leasing(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, time.Time, error) {
				c := credentialsOf(user, given[0])
				given = given[len(given)-1:]
				return c, time.Now().Add(lease), nil
			})
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			time.Sleep(lease)
			l.users.SetPassword(user, second)
			requireNoBasic(t, l, w)
		})
		eachHolds(t, desc+", refused", func(t testing.TB, w way) {
			weak := &testproxy.Basic{Realm: "lab"}
			l, provider := newCaseLab(t, password, &testproxy.NTLM{}, weak)
			provider.answer = untilRejected(password, second)
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.users.SetPassword(user, second)
			l.hangUp()
			l.proxy.SetAuth(&testproxy.NTLM{Server: &ntlmserver.Server{Users: map[string]string{user: second}}}, weak)
			var refused atomic.Bool
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				if isCompleting(leg) && leg.Status == http.StatusProxyAuthRequired {
					refused.Store(true)
				} else if refused.Load() {
					return breakIt(leg)
				}
				return nil
			})
			_ = w.reach(t.Context(), l.rt, originHost)
			require.True(t, refused.Load())
			requireNoBasic(t, l, w)
		})
	}
}

// A connection for which ann's authorization was answered after her lease had ended
// serves nobody else.
func TestLateAnswerIsForItsUser(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		for target, desc := range map[string]string{httpOrigin: "forwarded", httpsOrigin: "tunnelled"} {
			holds(t, scheme+", "+desc, func(t testing.TB) {
				l, _ := newCaseLab(t, password, mechanismOf(scheme))
				// The origin tells which of the proxy's connections a request came on.
				tellConn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(time.Second)
					io.WriteString(w, r.RemoteAddr)
				})
				l.base.ForceAttemptHTTP2 = false // or one connection would do for all
				const host = "telling.example.com"
				testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network, Addr: host + ":80", Handler: tellConn})
				testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network, Addr: host + ":443", Handler: tellConn, TLS: ca.ServerConfig(host)})
				names := []string{user, "bob"}
				l.rt.Credentials = leasing(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, time.Time, error) {
					c := credentialsOf(names[0], l.users.Passwords[names[0]])
					names = names[len(names)-1:]
					return c, time.Now().Add(lease), nil
				})
				where := map[string]string{httpOrigin: "http://" + host + "/", httpsOrigin: "https://" + host + "/"}[target]
				anns := make(chan string, 1)
				l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
					if isCompleting(leg) && leg.Status == http.StatusOK && time.Since(bubbleStart) < lease {
						time.Sleep(2 * lease)
					}
					return nil
				})
				go func() {
					_, body, _ := l.do(l.request(http.MethodGet, where, nil))
					anns <- body
				}()
				time.Sleep(lease + lease/2)
				var mu sync.Mutex
				var bobs []string
				for range 3 {
					resp, body, err := l.do(l.request(http.MethodGet, where, nil))
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					bobs = append(bobs, body)
					time.Sleep(lease / 4)
				}
				first := <-anns
				synctest.Wait()
				for _, err := range together(4, func(int) error { // which takes every connection that there is
					_, body, err := l.do(l.request(http.MethodGet, where, nil))
					mu.Lock()
					defer mu.Unlock()
					bobs = append(bobs, body)
					return err
				}) {
					require.NoError(t, err)
				}
				if target == httpsOrigin {
					require.NotContains(t, bobs, first, "a request of bob's in ann's tunnel")
				}
				n := 0
				for _, leg := range l.proxy.Legs() {
					if leg.Status == http.StatusOK && leg.User == user {
						n++
					}
				}
				require.LessOrEqual(t, n, 1, "requests as ann")
			})
		}
	}
}

// bubbleStart is when the clock of every bubble starts.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// The rules hold for an authorization of the caller's own.
func TestRulesHoldForTheCallersAuthorization(t *testing.T) {
	t.Parallel()
	own := "Basic " + base64.StdEncoding.EncodeToString([]byte("bob:hunter2"))
	for desc, set := range map[string]func(rt *proxyauth.Transport){
		"AllowProxy": func(rt *proxyauth.Transport) {
			rt.AllowProxy = func(_ context.Context, _ *url.URL) bool { return false }
		},
		"ForbidCleartext": func(rt *proxyauth.Transport) { rt.ForbidCleartext = true },
	} {
		holds(t, desc, func(t testing.TB) {
			l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab"})
			set(l.rt)
			req := l.request(http.MethodGet, httpOrigin+"/", nil)
			req.Header.Set("Proxy-Authorization", own)
			resp, err := l.rt.RoundTrip(req)
			if err == nil {
				defer resp.Body.Close()
				if e, ok := proxyauth.ResponseError(resp); ok {
					err = e
				}
			}
			requireCauseNamed(t, "polic", err)
			require.Empty(t, l.schemesSent())
		})
	}
}
