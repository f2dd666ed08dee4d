package e2e_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const digestWorkers = 64

// squid forgets a nonce whose counts arrive out of order, so that
// requests that shared one would be challenged time and again.
func TestDigestNonceCountsStayInOrder(t *testing.T) {
	t.Parallel()
	for row, tt := range []struct {
		desc      string
		mechanism *testproxy.Digest
		extra     int // legs more than requests, in percent
	}{
		{
			desc:      "squid",
			mechanism: &testproxy.Digest{Realm: "lab", NoAlgorithm: true, NonceCount: testproxy.NonceCountSquid, Stale: testproxy.StaleSquid},
			extra:     2,
		},
		{
			desc:      "refuses what is out of order",
			mechanism: &testproxy.Digest{Realm: "lab", NonceCount: testproxy.NonceCountRefuse},
			extra:     2,
		},
		{
			desc: "nonces wear out and are announced",
			mechanism: &testproxy.Digest{
				Realm: "lab", NonceCount: testproxy.NonceCountSquid, Stale: testproxy.StaleSquid,
				NonceUses: 20, NextNonce: 2,
			},
			extra: 2,
		},
	} {
		for _, way := range sample.Of(row, ways) {
			if way.method == "CONNECT" && tt.mechanism.NextNonce != 0 {
				continue // squid announces nothing there
			}
			t.Run(tt.desc+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{tt.mechanism}})
					l.base.MaxIdleConnsPerHost = digestWorkers
					each := sample.Size(15, 40) // requests of a worker
					errs := together(digestWorkers, func(int) (err error) {
						for range each {
							err = errors.Join(err, way.reach(t.Context(), l.rt, originHost))
						}
						return err
					})
					require.NoError(t, errors.Join(errs...))
					requests := digestWorkers * each
					legs := l.tally()
					require.Equal(t, requests, legs[way.method+" Digest 200"])
					extra := -requests
					for _, n := range legs {
						extra += n
					}
					t.Logf("%d legs more than %d requests", extra, requests)
					require.LessOrEqual(t, extra, 2*digestWorkers+requests*tt.extra/100, "one for each connection and each of two shared nonces, and few besides")
					require.Zero(t, l.users.Failures(user))
				})
			})
		}
	}
}

// A proxy that has forgotten its nonces, and does not say so, has not refused the
// password.
func TestProxyForgetsItsNonces(t *testing.T) {
	t.Parallel()
	const n = 20
	for _, way := range ways {
		for _, tt := range []struct {
			desc  string
			stale testproxy.Stale
		}{
			{"as Apache", testproxy.StaleApache},
			{"as squid", testproxy.StaleSquid},
			{"without a word", testproxy.StaleNever},
		} {
			t.Run(tt.desc+" "+way.desc, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mechanism := &testproxy.Digest{Realm: "lab", Stale: tt.stale}
					l, w := newWitnessedLab(t, mechanism, always(password))
					burst := func() error {
						return errors.Join(together(n, func(int) error { return way.reach(t.Context(), l.rt, originHost) })...)
					}
					require.NoError(t, burst())
					for range 3 {
						l.tally()
						mechanism.ForgetNonces()
						require.NoError(t, way.reach(t.Context(), l.rt, originHost))
						legs := l.tally()
						require.Equal(t, 1, legs[way.method+" Digest 200"])
						require.LessOrEqual(t, legs[way.method+" 407"]+legs[way.method+" Digest 407"], 2)

						mechanism.ForgetNonces()
						require.NoError(t, burst())
					}
					require.Zero(t, l.users.Failures(user))
					require.Empty(t, w.rejected)
					require.Len(t, w.asked, 1, "the password was not in doubt")
					require.Equal(t, []string{password}, w.accepted, "once")
				})
			})
		}
	}
}

// squid calls an unknown nonce stale whatever the password. With
// the fresh nonce the password is judged, and that is the end of it.
func TestStaleNonceWithWrongPassword(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mechanism := &testproxy.Digest{Realm: "lab", Stale: testproxy.StaleSquid}
				l, w := newWitnessedLab(t, mechanism, always(password))
				require.NoError(t, way.reach(t.Context(), l.rt, originHost))
				l.tally()
				mechanism.ForgetNonces()
				l.users.SetPassword(user, "new")
				requireCause(t, proxyauth.CauseDenied, way.reach(t.Context(), l.rt, originHost))
				require.Equal(t, map[string]int{way.method + " Digest 407": 2}, l.tally())
				require.Empty(t, w.rejected, "another target may still be allowed")
				time.Sleep(time.Minute)
				requireCause(t, proxyauth.CauseCredentialsRejected, way.reach(t.Context(), l.rt, originHost))
				require.Equal(t, map[string]int{way.method + " 407": 1, way.method + " Digest 407": 1}, l.tally())
				require.Equal(t, []string{password}, w.rejected)
			})
		})
		t.Run("and always stale, "+way.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{
					Auth:  []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}},
					Fault: testproxy.Always(testproxy.Offer(`Digest realm="lab", nonce="abc", qop="auth", stale=true`)),
				})
				l.rt.Credentials = &witness{answer: always("wrong")}
				require.Error(t, way.reach(t.Context(), l.rt, originHost))
				require.LessOrEqual(t, len(l.proxy.Legs()), 3)
			})
		})
	}
}
