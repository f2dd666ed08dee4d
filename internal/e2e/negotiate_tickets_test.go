package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// ambient gives the Transport no credentials but a ticket cache, whose name is
// returned.
func (l *negotiateLab) ambient(c kdc.CCache) (cache string) {
	cache = l.kinit(c)
	l.rt.Credentials = nil
	l.scheme.Sources, l.scheme.TicketCache = nil, cache
	return cache
}

// Who is logged in needs no password.
func TestNegotiateAmbient(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, basicToo(testproxy.Config{}))
			l.ambient(kdc.CCache{Client: user})
			l.requireLegs(w, kerberosLegs[w.desc])
			l.requireTickets(0, 1)
			for _, c := range l.server.Contexts() {
				require.Equal(t, user+"@"+r.Realm(), c.User())
				require.Len(t, c.Seen().MechTypes, 1, "no NTLM without a password")
			}
		})
	}
}

// A refused ticket is not a refused secret: a fresh one is tried at once, and each time
// later on.
func TestNegotiateRefusedTicketIsForgotten(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		faults spnegoserver.Faults
		final  spnegoserver.Final
	}{
		{"for a reason", spnegoserver.Faults{KRBError: 41}, spnegoserver.FinalChallenge},
		{"rejected", spnegoserver.Faults{Reject: true}, spnegoserver.FinalChallenge},
	} {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				server := &spnegoserver.Server{Faults: spnegoserver.First(2, tt.faults)}
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{Server: server, Final: tt.final}, testproxy.Config{})
				l.ambient(kdc.CCache{Client: user})
				e := requireKerberosCause(t, w.reach(t.Context(), l.rt, originHost))
				require.ErrorIs(t, e, negotiate.TicketRefused)
				require.NotErrorIs(t, e, proxyauth.ErrRejected)
				require.Zero(t, l.rt.Stats()[0].Rejections)
				l.requireTickets(0, 2)
				for range 2 {
					require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				}
				l.tally()
				l.requireTickets(0, 3)
			})
		}
	}
}

// A ticket that is refused without a word gives way to the next scheme, for which
// a body that can't be had again must be there still.
func TestNegotiateRefusedTicketFallsBack(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	broken := func(t *testing.T) *negotiateLab {
		l := newNegotiateLab(t, r, spnegoserver.Mechanism{Poison: true}, basicToo(testproxy.Config{}))
		l.server.Faults = spnegoserver.Always(spnegoserver.Faults{Reject: true})
		l.scheme.DisableNTLM = true
		return l
	}
	for _, w := range ways {
		bubble(t, w.desc, func(t *testing.T) {
			l := broken(t)
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.Equal(t, map[string]int{w.method + " 407": 1, w.method + " Negotiate 407": 2, w.method + " Basic 200": 1}, l.tally())
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.Equal(t, map[string]int{w.method + " Basic 200": 1}, l.tally())
		})
	}
	bubble(t, "with a body", func(t *testing.T) {
		l := broken(t)
		require.ErrorIs(t, l.requireBodyGone(longBody), negotiate.TicketRefused)
		for range 2 {
			u := newUpload(longBody)
			_, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), false))
			require.NoError(t, err)
			u.requireArrived(t, l.origin)
			u.requireClosed(t)
		}
	})
}

// When the proxy gets another key, tickets for the old one are replaced.
func TestNegotiateProxyChangesItsKey(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, basicToo(testproxy.Config{}))
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.tally()
			l.hangUp()
			time.Sleep(time.Hour)
			r.SetPassword(proxySPN, "new")
			l.proxy.SetAuth(&spnegoserver.Mechanism{
				Server: &spnegoserver.Server{Keytab: r.Keytab(proxySPN), Service: proxySPN},
				Poison: true, Final: spnegoserver.FinalNever,
			})
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			require.Equal(t, map[string]int{w.method + " Negotiate 407": 1, w.method + " Negotiate 200": 1}, l.tally())
			l.requireTickets(1, 2)
		})
	}
}

// What has been authenticated goes on after kdestroy; what has not says why, until
// the next kinit.
func TestNegotiateKdestroy(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
			cache := l.ambient(kdc.CCache{Client: user})
			l.get(w.target("/a"))
			l.legs(kerberosLegs[w.desc].cold...)
			require.NoError(t, os.Remove(cache))
			for range 3 {
				l.get(w.target("/b"))
			}
			for leg := range l.tally() {
				require.Equal(t, "GET 200", leg, "and no leg at all through a tunnel")
			}
			l.hangUp()
			for range 2 {
				e := requireKerberosCause(t, w.reach(t.Context(), l.rt, originHost))
				require.ErrorIs(t, e, negotiate.NoTicket)
				require.Contains(t, e.Error(), "kinit")
			}
			require.NoError(t, os.WriteFile(cache, must(r.CCache(kdc.CCache{Client: user})), 0o600))
			l.get(w.target("/c"))
		})
	}
}

// Where there is no ticket any more, the proxy is asked what else it takes. Basic is that
// only with TLS, since the proxy has accepted something that does not show the password.
func TestNegotiateKdestroyFallsBack(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, fmt.Sprintf("%s, TLS %t", w.desc, tls), func(t *testing.T) {
				config := basicToo(testproxy.Config{})
				if tls {
					config.TLS = ca.ServerConfig("proxy.example.com")
				}
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, config)
				l.scheme.DisableNTLM, l.scheme.Sources = true, []negotiate.Source{negotiate.TicketCache}
				l.scheme.TicketCache = l.kinit(kdc.CCache{Client: user})
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				require.NoError(t, os.Remove(l.scheme.TicketCache))
				l.hangUp()
				l.tally()
				err := w.reach(t.Context(), l.rt, originHost)
				if !tls {
					require.ErrorIs(t, requireCause(t, proxyauth.CausePolicyForbids, err), negotiate.NoTicket)
					require.Equal(t, map[string]int{w.method + " 407": 1}, l.tally())
					return
				}
				require.NoError(t, err)
				require.Equal(t, map[string]int{w.method + " 407": 1, w.method + " Basic 200": 1}, l.tally())
			})
		}
	}
}

// Reset forgets tickets, and which passwords the KDC has refused.
func TestNegotiateReset(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
			for i := range 2 {
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				l.requireTickets(1+i, 1+i)
				l.rt.Reset()
			}
			r.SetPassword(user, "new")
			requireCause(t, proxyauth.CauseCredentialsRejected, w.reach(t.Context(), l.rt, originHost))
			require.Equal(t, 1, r.Total().PreauthFailed)
		})
	}
}

// A password that was changed is found out when the ticket has ended. The KDC sees
// the old one once, and nobody sees it after that; the next one that the provider
// has is tried at once.
func TestNegotiatePasswordChanges(t *testing.T) {
	t.Parallel()
	for _, perRequest := range []bool{false, true} {
		for _, w := range ways {
			for _, next := range []bool{false, true} {
				r := newRealm(t)
				desc := map[bool]string{true: ", per request"}[perRequest] + map[bool]string{true: ", the provider knows"}[next]
				bubble(t, w.desc+desc, func(t *testing.T) {
					m := spnegoserver.Mechanism{PerRequest: perRequest, Server: withNTLM(r, spnegoserver.Faults{})}
					l := newNegotiateLab(t, r, m, basicToo(testproxy.Config{}))
					p := &witness{answer: always(password)}
					if next {
						p.answer = untilRejected(password, "new")
					}
					l.rt.Credentials = p
					for range 3 {
						l.get(httpOrigin + "/")
					}
					l.hangUp()
					l.tally()
					r.SetPassword(user, "new")
					require.NoError(t, w.reach(t.Context(), l.rt, originHost), "the ticket is good")
					time.Sleep(24 * time.Hour)
					l.hangUp()
					l.tally()
					err := w.reach(t.Context(), l.rt, originHost)
					synctest.Wait() // the observer is told beside the request
					require.Equal(t, []string{password}, p.rejected)
					if next {
						require.NoError(t, err)
					} else {
						requireCause(t, proxyauth.CauseCredentialsRejected, err)
						requireCause(t, proxyauth.CauseCredentialsRejected, w.reach(t.Context(), l.rt, originHost))
						require.Equal(t, []string{w.method + " 407"}, keys(l.tally()))
					}
					require.Equal(t, 1, r.Total().PreauthFailed)
				})
			}
		}
	}
}

func keys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }
