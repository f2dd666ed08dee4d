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
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// tokens of NTLM, as far as they tell the message.
const (
	negotiateToken    = "NTLM TlRMTVNTUAAB"
	authenticateToken = "NTLM TlRMTVNTUAAD"
)

// onToken does a on every leg with the message.
func onToken(token string, a *testproxy.Action) testproxy.Fault {
	return testproxy.OnLeg(func(leg *testproxy.Leg) bool {
		return strings.HasPrefix(leg.Header.Get("Proxy-Authorization"), token)
	}, a)
}

// An ntlmFault is a way in which a handshake goes wrong.
type ntlmFault struct {
	desc   string
	server ntlmserver.Faults
	proxy  testproxy.Fault
	cause  proxyauth.Cause

	// handshakes is how many are begun at most before the request is given up.
	handshakes int

	// last says that the last message is sent, which proves the password and
	// may have been refused.
	last bool

	// racy says that a forwarded request may be on its way before the end of
	// the connection is seen, which makes a difference to their number.
	racy bool
}

func (f ntlmFault) requireHandshakes(t *testing.T, w way, m *testproxy.NTLM) {
	t.Helper()
	got := m.Server.Handshakes()
	switch {
	case f.racy:
		require.LessOrEqual(t, got, 2*maxBroken)
	default:
		require.Positive(t, got)
		require.LessOrEqual(t, got, f.handshakes)
	}
}

const broken, failed, uncommon = proxyauth.CauseHandshakeBroken, proxyauth.CauseSchemeFailed, proxyauth.CauseNoCommonScheme

func ntlmFaults() []ntlmFault {
	return []ntlmFault{
		{desc: "truncated challenge", server: ntlmserver.TruncatedChallenge, cause: failed, handshakes: 1},
		{desc: "oversized challenge", server: ntlmserver.OversizedChallenge, cause: broken, handshakes: maxBroken},
		{desc: "oversized target info", server: ntlmserver.OversizedTargetInfo, cause: failed, handshakes: 1},
		{desc: "garbage", server: ntlmserver.GarbageChallenge, cause: failed, handshakes: 1},
		{desc: "wrong signature", server: ntlmserver.WrongSignature, cause: failed, handshakes: 1},
		{desc: "wrong type", server: ntlmserver.WrongType, cause: failed, handshakes: 1},
		{desc: "target info behind the message", server: ntlmserver.LyingTargetInfo, cause: failed, handshakes: 1},
		{desc: "broken target info", server: ntlmserver.BrokenTargetInfo, cause: failed, handshakes: 1},
		{desc: "NTLMv1 alone", server: ntlmserver.NTLMv1Only, cause: uncommon, handshakes: 1},
		{desc: "no Unicode", server: ntlmserver.OEMOnly, cause: uncommon, handshakes: 1},
		{desc: "challenge message that is not base64", proxy: onToken(negotiateToken, testproxy.Offer("NTLM ????")), cause: broken, handshakes: maxBroken},
		{desc: "two challenge messages", proxy: onToken(negotiateToken, testproxy.Offer("NTLM "+type2, "NTLM "+type2)), cause: broken, handshakes: maxBroken},

		// As a load balancer does that goes to another back end for each leg.
		{desc: "challenge again instead of the end", server: ntlmserver.ChallengeTwice, cause: broken, handshakes: maxBroken, last: true},
		{desc: "bare challenge to the first message", proxy: onToken(negotiateToken, testproxy.Offer("NTLM")), cause: broken, handshakes: maxBroken},

		{desc: "keep-alive off in mid-handshake", proxy: onToken(negotiateToken, testproxy.CloseOpenly()), cause: broken, handshakes: maxBroken},
		{desc: "HTTP/1.0", proxy: onToken(negotiateToken, testproxy.HTTP10()), cause: broken, handshakes: maxBroken},
		{desc: "closed after the first message", proxy: onToken(negotiateToken, testproxy.DropAt(testproxy.BeforeAnswer)), cause: broken, handshakes: maxBroken},
		{desc: "reset after the first message", proxy: onToken(negotiateToken, testproxy.ResetAt(testproxy.OnRequest)), cause: broken, handshakes: maxBroken},
		{desc: "closed in the challenge message", proxy: onToken(negotiateToken, testproxy.DropAt(testproxy.InHeader)), cause: broken, handshakes: maxBroken},
		{desc: "closed after the challenge message", proxy: onToken(negotiateToken, testproxy.CloseSilently()), cause: broken, handshakes: maxBroken, racy: true},
		{desc: "reset after the challenge message", proxy: onToken(negotiateToken, testproxy.ResetAt(testproxy.AfterAnswer)), cause: broken, handshakes: maxBroken, racy: true},
		{desc: "closed after the last message", proxy: onToken(authenticateToken, testproxy.DropAt(testproxy.OnRequest)), cause: broken, handshakes: 2, last: true},
		{desc: "closed in the answer to the last message", proxy: onToken(authenticateToken, testproxy.DropAt(testproxy.InStatusLine)), cause: broken, handshakes: 2, last: true},
		{desc: "no answer to the first message", proxy: onToken(negotiateToken, testproxy.StallAt(testproxy.BeforeAnswer)), cause: broken, handshakes: maxBroken},
		{desc: "no end of the challenge message", proxy: onToken(negotiateToken, testproxy.StallAt(testproxy.InHeader)), cause: broken, handshakes: maxBroken},
	}
}

// TestNTLMFaults breaks every handshake: the requests are given up after bounded
// attempts for a reason that is told, and nobody waits for them afterwards.
func TestNTLMFaults(t *testing.T) {
	t.Parallel()
	for row, tt := range ntlmFaults() {
		for _, way := range sample.Of(row, ways) {
			bubble(t, tt.desc+", "+way.desc, func(t *testing.T) {
				l, m := newNTLMLab(t, &ntlmserver.Server{Faults: ntlmserver.Always(tt.server)}, testproxy.Config{Fault: tt.proxy})
				l.rt.LegTimeout = 5 * time.Second
				e := requireCause(t, tt.cause, way.reach(t.Context(), l.rt, originHost))
				require.NotEmpty(t, e.Tried)
				require.Equal(t, "NTLM", e.Tried[0].Scheme)
				tt.requireHandshakes(t, way, m)
				if !tt.last {
					require.Empty(t, l.origin.Requests())
				}
				for _, err := range together(10, func(int) error { return way.reach(t.Context(), l.rt, originHost) }) {
					require.Error(t, err)
				}
				require.Empty(t, l.proxy.Violations())
				require.LessOrEqual(t, len(l.proxy.Legs()), 11*3*maxBroken)

				if tt.last || tt.racy {
					time.Sleep(maxPause) // it may have been refused, and is spared
				}
				l.proxy.SetFault(nil)
				l.proxy.SetAuth(&testproxy.NTLM{Server: &ntlmserver.Server{Users: map[string]string{user: password}}})
				start := time.Now()
				for _, err := range together(10, func(int) error { return way.reach(t.Context(), l.rt, originHost) }) {
					require.NoError(t, err)
				}
				require.Zero(t, time.Since(start), "somebody was waited for")
			})
		}
	}
}

// A handshake that goes wrong once is made again.
func TestNTLMTransientFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range ntlmFaults() {
		if tt.cause != broken {
			continue
		}
		for _, way := range ways {
			bubble(t, tt.desc+", "+way.desc, func(t *testing.T) {
				config := testproxy.Config{}
				if tt.proxy != nil {
					config.Fault = testproxy.Once(tt.proxy)
				}
				l, m := newNTLMLab(t, &ntlmserver.Server{Faults: ntlmserver.First(1, tt.server)}, config)
				l.rt.LegTimeout = 5 * time.Second
				require.NoError(t, way.reach(t.Context(), l.rt, originHost))
				require.Equal(t, 2, m.Server.Handshakes())
				require.Empty(t, l.proxy.Violations())
			})
		}
	}
}

// A weaker scheme takes the place of one that knows no answer to the challenge, and of no
// other: whoever breaks the handshakes gets nothing that is easier to read. Where the
// proxy has accepted the stronger one before, nothing takes its place.
func TestNTLMFallback(t *testing.T) {
	t.Parallel()
	for row, tt := range ntlmFaults() {
		for _, way := range sample.Of(row+1, ways) {
			bubble(t, tt.desc+", "+way.desc, func(t *testing.T) {
				l, m := newNTLMLab(t, &ntlmserver.Server{Faults: ntlmserver.Always(tt.server)},
					testproxy.Config{Fault: tt.proxy, Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
				l.rt.LegTimeout = 5 * time.Second
				// The request itself opens a forwarded handshake, and no leg's time ends that.
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := way.reach(ctx, l.rt, originHost)
				require.Positive(t, m.Server.Handshakes())
				require.LessOrEqual(t, m.Server.Handshakes(), 2*maxBroken)
				require.Empty(t, l.proxy.Violations())
				if tt.cause == uncommon {
					require.NoError(t, err)
					require.Contains(t, l.schemesSent(), "Basic")
					return
				}
				require.Error(t, err)
				require.NotContains(t, l.schemesSent(), "Basic")
			})
			if tt.cause != broken {
				continue
			}
			bubble(t, tt.desc+", "+way.desc+", proved", func(t *testing.T) {
				l, _ := newNTLMLab(t, nil, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
				l.rt.LegTimeout = 5 * time.Second
				require.NoError(t, way.reach(t.Context(), l.rt, originHost))
				l.hangUp()
				l.proxy.SetFault(tt.proxy)
				server := &ntlmserver.Server{Users: map[string]string{user: password}, Faults: ntlmserver.Always(tt.server)}
				l.proxy.SetAuth(&testproxy.NTLM{Server: server}, &testproxy.Basic{Realm: "lab", Accounts: l.users})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := way.reach(ctx, l.rt, originHost); ctx.Err() == nil {
					requireCause(t, broken, err)
				}
				require.NotContains(t, l.schemesSent(), "Basic")
			})
		}
	}
}

// A proxy that has lost the challenge it gave refuses the answer in the same
// words as a wrong password: it can't be told apart and is not sent again.
func TestNTLMChallengeForgotten(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		bubble(t, way.desc, func(t *testing.T) {
			l, m := newNTLMLab(t, &ntlmserver.Server{Faults: ntlmserver.Always(ntlmserver.Forget)}, testproxy.Config{})
			for _, err := range together(10, func(int) error { return way.reach(t.Context(), l.rt, originHost) }) {
				requireCause(t, proxyauth.CauseCredentialsRejected, err)
			}
			require.Equal(t, 1, m.Server.Handshakes())
		})
	}
}

// A proxy may be content with the first message.
func TestNTLMAcceptedWithoutChallenge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newNTLMLab(t, &ntlmserver.Server{Faults: ntlmserver.Always(ntlmserver.AcceptWithoutChallenge)}, testproxy.Config{})
		l.get(httpOrigin + "/a")
		require.LessOrEqual(t, len(l.proxy.Legs()), 5) // for all it says, it might ask nothing for this host
		l.proxy.Reset()
		l.get(httpOrigin + "/b")
		require.LessOrEqual(t, len(l.proxy.Legs()), 2)
		l.proxy.Reset()
		l.get(httpsOrigin + "/c")
		require.LessOrEqual(t, len(l.proxy.Legs()), 2)
		for _, path := range []string{"/a", "/b"} {
			n := 0
			for _, r := range l.origin.Requests() {
				if r.URI == path {
					n++
				}
			}
			require.Equal(t, 1, n, path)
		}
		require.Empty(t, l.proxy.Violations())
	})
}

// A request that was on its way when the connection broke is not repeated if that
// could do harm.
func TestNTLMUnansweredRequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method string
		key    bool
		want   int // requests with the last message
	}{
		{http.MethodGet, false, 2},
		{http.MethodHead, false, 2},
		{http.MethodPost, false, 1},
		{http.MethodDelete, false, 1},
		{http.MethodPost, true, 2},
	} {
		bubble(t, tt.method, func(t *testing.T) {
			l, _ := newNTLMLab(t, nil, testproxy.Config{Fault: onToken(authenticateToken, testproxy.DropAt(testproxy.BeforeAnswer))})
			req := l.request(tt.method, httpOrigin, nil)
			if tt.key {
				req.Header["Idempotency-Key"] = []string{"1"}
			}
			_, _, err := l.do(req)
			requireCause(t, broken, err)
			require.Len(t, l.origin.Requests(), tt.want)
		})
	}
}

// A request that is cancelled in mid-handshake ends at once, and nobody waits for
// what is left of it.
func TestNTLMCancelled(t *testing.T) {
	t.Parallel()
	for _, token := range []string{negotiateToken, authenticateToken} {
		for _, proved := range []bool{false, true} {
			for _, way := range ways {
				bubble(t, way.desc, func(t *testing.T) {
					l, _ := newNTLMLab(t, nil, testproxy.Config{})
					if proved {
						require.NoError(t, way.reach(t.Context(), l.rt, originHost))
						l.hangUp()
					}
					l.proxy.SetFault(onToken(token, testproxy.StallAt(testproxy.OnRequest)))
					ctx, cancel := context.WithCancel(t.Context())
					errs := make(chan error)
					go func() { errs <- way.reach(ctx, l.rt, originHost) }()
					synctest.Wait()
					require.NotEmpty(t, l.proxy.Legs())
					start := time.Now()
					cancel()
					require.ErrorIs(t, <-errs, context.Canceled)
					require.Zero(t, time.Since(start))

					// net/http goes on connecting for whoever comes next.
					l.proxy.SetFault(nil)
					require.NoError(t, way.reach(t.Context(), l.rt, originHost))
					require.LessOrEqual(t, time.Since(start), patience)
					require.Empty(t, l.proxy.Violations())
				})
			}
		}
	}
}
