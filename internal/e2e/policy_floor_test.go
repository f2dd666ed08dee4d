package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// newConns makes the proxy forget its connections and legs, so that the next
// request is asked anew, be it forwarded or tunnelled.
func (l *lab) newConns() {
	l.hangUp()
	l.proxy.Disconnect()
	synctest.Wait()
	l.proxy.Reset()
}

// TestFloor takes the strong scheme away from a proxy that has accepted it: what is
// left is not given to whoever has done so.
func TestFloor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc         string
		strong, weak int // of NTLM, Digest, Basic
	}{
		{"NTLM to Digest", 0, 1},
		{"NTLM to Basic", 0, 2},
		{"Digest to Basic", 1, 2},
	} {
		for _, allow := range []bool{false, true} {
			eachWay(t, fmt.Sprintf("%s, allowed %v", tt.desc, allow), func(t *testing.T, w way) {
				l := newLab(t, testproxy.Config{})
				l.rt.InsecureAllowDowngrade = allow
				var all [3]testproxy.Mechanism
				all[0], all[1], all[2] = l.strength()
				l.proxy.SetAuth(all[tt.strong], all[tt.weak])
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				l.newConns()
				l.proxy.SetAuth(all[tt.weak])
				if d, ok := all[1].(*testproxy.Digest); ok {
					d.ForgetNonces()
				}
				for range 2 {
					err := w.reach(t.Context(), l.rt, originHost)
					if allow {
						require.NoError(t, err)
						continue
					}
					requireForbidden(t, "Transport.InsecureAllowDowngrade", err)
					require.NotContains(t, l.schemesSent(), all[tt.weak].Scheme())
				}
				if allow {
					require.Contains(t, l.schemesSent(), all[tt.weak].Scheme())
					return
				}
				// The strong one is taken up again where it is back, and so is what
				// a program has said to forget.
				l.proxy.SetAuth(all[tt.strong], all[tt.weak])
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				l.rt.Reset()
				l.newConns()
				l.proxy.SetAuth(all[tt.weak])
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				require.Equal(t, []string{all[tt.weak].Scheme()}, l.schemesSent())
			})
		}
	}
}

// The floor is each proxy's own.
func TestFloorIsPerProxy(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{})
		_, strong, weak := l.strength()
		l.proxy.SetAuth(strong)
		other := testproxy.Start(t, testproxy.Config{Network: l.network, Addr: "other.example.com:3128", Auth: []testproxy.Mechanism{weak}})
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.base.Proxy = http.ProxyURL(other.URL())
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	})
}

// A scheme that was accepted under one spelling of the proxy's URL is not used there any more
// once a stronger one was accepted under another.
func TestFloorHoldsForSchemesAcceptedBefore(t *testing.T) {
	t.Parallel()
	for _, withdrawn := range []bool{false, true} {
		for _, allow := range []bool{false, true} {
			eachWay(t, fmt.Sprintf("withdrawn %v, allowed %v", withdrawn, allow), func(t *testing.T, w way) {
				l := newLab(t, testproxy.Config{})
				l.rt.InsecureAllowDowngrade = allow
				_, strong, weak := l.strength()
				target := withUser(l.proxy.URL(), user, password)
				l.base.Proxy = func(*http.Request) (*url.URL, error) { return target, nil }
				l.proxy.SetAuth(weak)
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				l.newConns()

				target = l.proxy.URL()
				l.proxy.SetAuth(strong, weak)
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				l.newConns()

				target = withUser(l.proxy.URL(), user, password)
				if withdrawn {
					l.proxy.SetAuth(weak)
				}
				for range 2 {
					err := w.reach(t.Context(), l.rt, originHost)
					if withdrawn && !allow {
						requireForbidden(t, "Transport.InsecureAllowDowngrade", err)
					} else {
						require.NoError(t, err)
					}
					l.hangUp()
				}
				if !allow {
					require.NotContains(t, l.schemesSent(), weak.Scheme())
				}
			})
		}
	}
}

// TestFloorInOneRequest takes the strong scheme away in the midst of a request: in
// the 407 to an authorization that carried it.
func TestFloorInOneRequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc  string
		offer []string // in answer to Digest
	}{
		{"Basic in its place", []string{`Basic realm="lab"`}},
		{"Basic beside a stale one that can't be answered", []string{`Digest realm="lab", nonce="n", stale=true, algorithm=SHA3-512`, `Basic realm="lab"`}},
		{"Basic beside one that can't be answered", []string{`Digest realm="lab", nonce="n", algorithm=SHA3-512`, `Basic realm="lab"`}},
		{"Basic beside one without a nonce", []string{`Digest realm="lab"`, `Basic realm="lab"`}},
	} {
		for _, held := range []bool{false, true} {
			eachWay(t, fmt.Sprintf("%s, held %v", tt.desc, held), func(t *testing.T, w way) {
				l := newLab(t, testproxy.Config{})
				_, strong, weak := l.strength()
				l.proxy.SetAuth(strong, weak)
				if held {
					require.NoError(t, w.reach(t.Context(), l.rt, originHost))
					l.newConns()
				}
				l.proxy.SetFault(testproxy.OnScheme("Digest", &testproxy.Action{Status: 407, Challenges: tt.offer}))
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
				require.NotContains(t, l.schemesSent(), "Basic")
			})
		}
	}
}

// A handshake that breaks opens no weaker scheme, though the proxy has accepted none yet:
// not in the same request, nor once the stronger scheme is offered no more.
func TestFloorHoldsAgainstBrokenHandshakes(t *testing.T) {
	t.Parallel()
	handshake := onToken(negotiateToken, testproxy.Offer("NTLM")) // lists one scheme, as in every handshake
	for _, withdrawn := range []bool{false, true} {
		eachWay(t, fmt.Sprintf("withdrawn %t", withdrawn), func(t *testing.T, w way) {
			l := newLab(t, testproxy.Config{})
			strong, _, weak := l.strength()
			l.proxy.SetAuth(strong, weak)
			l.proxy.SetFault(handshake)
			requireCause(t, broken, w.reach(t.Context(), l.rt, originHost))
			require.Equal(t, []string{"NTLM"}, l.schemesSent())
			l.newConns()
			if !withdrawn {
				requireCause(t, broken, w.reach(t.Context(), l.rt, originHost))
			} else {
				l.proxy.SetAuth(weak)
				requireCause(t, proxyauth.CausePolicyForbids, w.reach(t.Context(), l.rt, originHost))
			}
			require.NotContains(t, l.schemesSent(), "Basic")
		})
	}
}

// What the proxy has only offered, and what can't be carried out here, may be replaced.
func TestFloorIsNoObstacleToFallback(t *testing.T) {
	t.Parallel()
	// A user name that the stronger scheme can't send.
	eachWay(t, "local", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{})
		strong, _, weak := l.strength()
		l.proxy.SetAuth(strong, weak)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.rt.Reset()
		l.newConns()
		l.rt = l.transport(user, password)
		l.rt.Schemes = []proxyauth.Scheme{&ntlm.Scheme{PasswordIsHash: true}, basic.Scheme{}}
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, []string{"Basic"}, l.schemesSent())
	})
	// Of a handshake in which each 407 lists one scheme, and no other is offered
	// before or after.
	eachWay(t, "handshake", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{})
		strong, second, weak := l.strength()
		l.proxy.SetAuth(weak, second, strong)
		for range 3 {
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.newConns()
		}
		require.Empty(t, l.proxy.Violations())
	})
}

// A handshake that the proxy makes fail where it used to succeed is a downgrade,
// not a failure of this side.
func TestFloorHoldsAgainstBadTokens(t *testing.T) {
	t.Parallel()
	for _, fault := range []ntlmserver.Faults{ntlmserver.GarbageChallenge, ntlmserver.TruncatedChallenge, ntlmserver.NTLMv1Only} {
		eachWay(t, fmt.Sprint(fault), func(t *testing.T, w way) {
			l := newLab(t, testproxy.Config{})
			strong, _, weak := l.strength()
			l.proxy.SetAuth(strong, weak)
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.newConns()
			l.proxy.SetAuth(&testproxy.NTLM{Server: &ntlmserver.Server{Users: map[string]string{user: password}, Faults: ntlmserver.Always(fault)}}, weak)
			for range 2 {
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
			}
			require.Equal(t, []string{"NTLM"}, l.schemesSent())
		})
	}
}

// TestDigestFloor offers a weaker algorithm than before, in each way in which a
// nonce is replaced.
func TestDigestFloor(t *testing.T) {
	t.Parallel()
	weakOffer := func(more string) []string {
		return []string{`Digest realm="lab", nonce="n", qop="auth"` + more}
	}
	for _, tt := range []struct {
		desc  string
		offer []string // in answer to Digest
		times int      // for which it makes no other difference
	}{
		{"stale", weakOffer(", stale=true"), 3},
		{"stale, beside an unknown one", append(weakOffer(", stale=true"), `Digest realm="lab", nonce="n", algorithm=SHA3-512`), 3},
		{"forgotten", weakOffer(""), 1}, // which the second time is a refusal
	} {
		for _, allow := range []bool{false, true} {
			eachWay(t, fmt.Sprintf("%s, allowed %v", tt.desc, allow), func(t *testing.T, w way) {
				l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab", Algorithms: []string{"SHA-256"}}, &testproxy.Basic{Realm: "lab"}}})
				l.rt.InsecureAllowDowngrade = allow
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				l.newConns()
				l.proxy.SetFault(testproxy.Times(tt.times, testproxy.OnScheme("Digest", &testproxy.Action{Status: 407, Challenges: tt.offer})))
				for range tt.times {
					err := w.reach(t.Context(), l.rt, originHost)
					if !allow {
						requireForbidden(t, "Transport.InsecureAllowDowngrade", err)
					}
				}
				weak := 0
				for _, leg := range l.proxy.Legs() {
					v := leg.Header.Get("Proxy-Authorization")
					if v != "" && !strings.Contains(v, "algorithm=SHA-256") {
						weak++
					}
				}
				require.Equal(t, allow, weak > 0)
				if !allow {
					require.NoError(t, w.reach(t.Context(), l.rt, originHost), "the proxy is itself again")
				}
			})
		}
	}
}

// A request that has no session to take up, since others have them all, is asked
// anew, and by a weaker challenge.
func TestDigestFloorOfNewSessions(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		strong := &testproxy.Digest{Realm: "lab", Algorithms: []string{"SHA-512-256"}}
		weak := &testproxy.Digest{Realm: "lab", Algorithms: []string{"SHA-256", "MD5"}}
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{strong}})
		l.adopt(weak)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.newConns()
		l.proxy.SetAuth(weak)
		for _, err := range together(20, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
			requireForbidden(t, "Transport.InsecureAllowDowngrade", err)
		}
		for _, leg := range l.proxy.Legs() {
			v := leg.Header.Get("Proxy-Authorization")
			require.True(t, v == "" || strings.Contains(v, "algorithm=SHA-512-256"), v)
		}
	})
	// A stronger one is welcome.
	eachWay(t, "stronger", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}}})
		l.rt.Schemes = []proxyauth.Scheme{digest.Scheme{}}
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		strong := &testproxy.Digest{Realm: "lab", Algorithms: []string{"SHA-256"}}
		l.adopt(strong)
		l.newConns()
		l.proxy.SetAuth(strong)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	})
}

// TestStallOpensNoWeakerScheme lets a peer answer NTLM so late that credentials which expire
// have to be replaced each time. That is the peer's doing: it is not given Basic in place.
func TestStallOpensNoWeakerScheme(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Fault: testproxy.OnLeg(func(leg *testproxy.Leg) bool {
			if strings.HasPrefix(leg.Header.Get("Proxy-Authorization"), "NTLM") {
				time.Sleep(2 * time.Second)
			}
			return false
		}, nil)})
		var strong, weak testproxy.Mechanism
		strong, _, weak = l.strength()
		l.proxy.SetAuth(strong, weak)
		l.rt.Credentials = leasing(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, time.Time, error) {
			return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, time.Now().Add(time.Second), nil
		})
		err := w.reach(t.Context(), l.rt, originHost)
		require.Error(t, err)
		require.NotContains(t, l.schemesSent(), "Basic")
	})
}

// What a proxy in use has offered is remembered under all its spellings, however many others
// come and go.
func TestFloorOfAProxyInUseIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{})
		_, strong, weak := l.strength()
		l.proxy.SetAuth(strong)
		target := l.proxy.URL()
		l.base.Proxy = func(*http.Request) (*url.URL, error) { return target, nil }
		for i := range maxSites + 10 {
			if i%(maxProxies/2) == 0 {
				target = l.proxy.URL()
				require.NoError(t, fetch(t.Context(), l.rt, originHost))
			}
			target = &url.URL{Scheme: "http", Host: fmt.Sprintf("proxy%d.example.com:3128", i)}
			requireCause(t, proxyauth.CauseProxyUnreachable, fetch(t.Context(), l.rt, originHost))
		}
		l.proxy.SetAuth(weak)
		for _, spelling := range []*url.URL{withUser(l.proxy.URL(), user, password), {Scheme: "http", Host: strings.ToUpper(l.proxy.Addr())}} {
			target = spelling
			requireForbidden(t, "Transport.InsecureAllowDowngrade", fetch(t.Context(), l.rt, originHost))
		}
		require.NotContains(t, l.schemesSent(), weak.Scheme())
	})
}

// What Preemptive opens is no weaker than what the proxy has accepted under another spelling of
// its URL, though it turns the stronger one down without a challenge.
func TestFloorHoldsForPreemptive(t *testing.T) {
	t.Parallel()
	for _, allow := range []bool{false, true} {
		eachHolds(t, fmt.Sprint("allowed ", allow), func(t testing.TB, w way) {
			l, _ := newCaseLab(t, password, mechanismOf("NTLM"))
			l.rt.Schemes = []proxyauth.Scheme{&ntlm.Scheme{}, basic.Scheme{}}
			l.rt.Preemptive, l.rt.InsecureAllowDowngrade = true, allow
			target := l.proxy.URL()
			l.base.Proxy = func(*http.Request) (*url.URL, error) { return target, nil }
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			for _, fault := range []*testproxy.Action{{Status: http.StatusForbidden, Challenges: []string{}}, {Status: http.StatusProxyAuthRequired, Challenges: []string{}}, testproxy.DropAt(testproxy.OnRequest)} {
				target = withUser(target, target.User.Username()+"x", "")
				l.proxy.SetFault(testproxy.Always(fault))
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
			}
			if !allow {
				require.Subset(t, []string{"", "NTLM"}, l.schemesSent())
			} else if w.method == http.MethodConnect {
				require.Contains(t, l.schemesSent(), "Basic")
			}
		})
	}
}
