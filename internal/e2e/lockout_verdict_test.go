package e2e_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

const freeHost = "free.example.com" // for which the proxy wants no authentication

// newFreeLab returns a lab whose proxy asks nothing for one host, with a password
// that is wrong, and a directory that takes its time.
func newFreeLab(t *testing.T) (*lab, *testproxy.NTLM) {
	l, m := newNTLMLab(t, nil, testproxy.Config{
		Anonymous: func(target string) bool { return strings.HasPrefix(strings.TrimPrefix(target, "http://"), freeHost) },
		Hosts:     map[string]string{freeHost + ":443": originHost + ":443", freeHost + ":80": originHost + ":80"},
	})
	l.rt.Credentials = &witness{answer: always(wrongPassword)}
	l.proxy.SetFault(slowly(50 * time.Millisecond))
	return l, m
}

// slowly takes d to answer what proves a password.
func slowly(d time.Duration) testproxy.Fault {
	return func(leg *testproxy.Leg) *testproxy.Action {
		auth := leg.Header.Get("Proxy-Authorization")
		if auth != "" && !strings.HasPrefix(auth, negotiateToken) {
			time.Sleep(d)
		}
		return nil
	}
}

// requireOneFailure sends many requests with a wrong password.
func requireOneFailure(t *testing.T, l *lab, w way, failures func() int) {
	t.Helper()
	before := failures()
	for _, err := range together(100, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
		requireCause(t, proxyauth.CauseCredentialsRejected, err)
	}
	require.Equal(t, 1, failures()-before)
}

// TestFirstMessageProvesNothing has NTLM's first message answered as if it had been
// enough: the password, which is wrong, is not taken for proved.
func TestFirstMessageProvesNothing(t *testing.T) {
	t.Parallel()
	eachWay(t, "an error", func(t *testing.T, w way) {
		l, m := newFreeLab(t)
		slow := slowly(50 * time.Millisecond)
		failing := testproxy.Once(onToken(negotiateToken, &testproxy.Action{Status: http.StatusServiceUnavailable}))
		l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
			if a := failing(leg); a != nil {
				return a
			}
			return slow(leg)
		})
		_ = w.reach(t.Context(), l.rt, originHost)
		for _, err := range together(100, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
			require.Error(t, err)
		}
		require.Equal(t, 1, m.Server.Failures(user))
	})
	eachWay(t, "a target that is free, unasked", func(t *testing.T, w way) {
		l, m := newFreeLab(t)
		l.rt.Preemptive = true
		require.NoError(t, w.reach(t.Context(), l.rt, freeHost))
		requireOneFailure(t, l, w, func() int { return m.Server.Failures(user) })
	})
	eachWay(t, "a target that is free, after one that isn't", func(t *testing.T, w way) {
		l, m := newFreeLab(t)
		slow := slowly(50 * time.Millisecond)
		l.proxy.SetFault(onToken(negotiateToken, testproxy.StallAt(testproxy.OnRequest)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, w.reach(ctx, l.rt, originHost), context.DeadlineExceeded)
		l.proxy.SetFault(slow)
		require.NoError(t, w.reach(t.Context(), l.rt, freeHost))
		requireOneFailure(t, l, w, func() int { return m.Server.Failures(user) })
	})
}

// TestForeignAnswerProvesNothing has what stands before the proxy answer a first
// request that carries credentials unasked.
func TestForeignAnswerProvesNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		eachWay(t, http.StatusText(status), func(t *testing.T, w way) {
			l := newPreemptiveLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}}, basic.Scheme{})
			l.rt.Credentials = &witness{answer: always(wrongPassword)}
			l.proxy.SetFault(testproxy.Once(testproxy.OnScheme("Basic", &testproxy.Action{Status: status})))
			_ = w.reach(t.Context(), l.rt, originHost)
			l.proxy.SetFault(slowly(50 * time.Millisecond))
			for _, err := range together(100, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
				require.Error(t, err)
			}
			// The first one, and two at once where its answer settled nothing.
			require.LessOrEqual(t, l.users.Failures(user), 3)
		})
	}
}

// unauthorized answers as tinyproxy does to what it does not know.
func unauthorized(scheme string) testproxy.Fault {
	return testproxy.OnScheme(scheme, &testproxy.Action{
		Status: http.StatusUnauthorized,
		Header: http.Header{"Www-Authenticate": {`Basic realm="Tinyproxy"`}, "Proxy-Authenticate": nil},
	})
}

// TestUnauthorizedTunnel has a proxy say 401 to a CONNECT, which is a refusal only of
// what answered a challenge.
func TestUnauthorizedTunnel(t *testing.T) {
	t.Parallel()
	t.Run("to a scheme that it doesn't know", func(t *testing.T) {
		for _, first := range []proxyauth.Scheme{&ntlm.Scheme{}, basic.Scheme{}} {
			synctest.Test(t, func(t *testing.T) {
				auth := testproxy.Mechanism(&testproxy.Basic{Realm: "lab"})
				if first.Name() == "Basic" {
					auth = &testproxy.Digest{Realm: "lab"}
				}
				l := newPreemptiveLab(t, testproxy.Config{Auth: []testproxy.Mechanism{auth}, Fault: unauthorized(first.Name())},
					first, digest.Scheme{}, basic.Scheme{})
				require.NoError(t, tunnel(t.Context(), l.rt, originHost))
				l.requireUnrefused()
			})
		}
	})
}

// TestUnauthorizedByTheOrigin has an origin server refuse request after request of a user
// whose password is right: that is between the two of them.
func TestUnauthorizedByTheOrigin(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		holds(t, scheme, func(t testing.TB) {
			l, w := newCaseLab(t, password, mechanismOf(scheme))
			l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
				if leg.Status != http.StatusOK || !isFor(leg, otherHost(1)) {
					return nil
				}
				return &testproxy.Action{Status: http.StatusUnauthorized, Challenges: []string{}, Header: http.Header{"Www-Authenticate": {`Basic realm="origin"`}}}
			})
			for range 6 {
				resp, _, err := l.do(l.request(http.MethodGet, "http://"+otherHost(1)+"/", nil))
				require.NoError(t, err)
				require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
				require.Nil(t, explained(resp))
			}
			synctest.Wait()
			require.Equal(t, []string{password}, w.accepted)
			require.Empty(t, w.rejected)
			require.Zero(t, l.counted().Doubted)
		})
	}
}

// TestUnauthorizedByTheProxy has a proxy refuse with 401, as tinyproxy does, which could be
// the origin server's answer where the request is forwarded: the second in a row counts, under
// whatever spelling of the proxy.
func TestUnauthorizedByTheProxy(t *testing.T) {
	t.Parallel()
	for desc, urls := range spellings() {
		eachHolds(t, desc, func(t testing.TB, w way) {
			l, provider := newCaseLab(t, wrongPassword, &testproxy.Basic{Realm: "lab", Refuse401: true})
			l.spell(urls)
			for range len(urls) + 2 {
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
			}
			synctest.Wait()
			require.Equal(t, map[string]int{http.MethodGet: 2, http.MethodConnect: 1}[w.method], l.users.Failures(user))
			require.Equal(t, []string{wrongPassword}, provider.rejected)
		})
	}
	eachHolds(t, "a password that is changed", func(t testing.TB, w way) {
		l, _ := newCaseLab(t, password, &testproxy.Basic{Realm: "lab", Refuse401: true})
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.hangUp()
		l.users.SetPassword(user, "changed")
		for range 20 {
			require.Error(t, w.reach(t.Context(), l.rt, originHost))
		}
		require.LessOrEqual(t, l.users.Failures(user), 2)
	})
}
