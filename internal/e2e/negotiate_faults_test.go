package e2e_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
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

// What comes back with the answer must be right, or the caller gets an error in
// its place. If nothing does, that is an error where it is asked for.
func TestNegotiateVerifiesTheProxy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc   string
		reply  spnegoserver.Reply
		final  spnegoserver.Final
		mutual bool  // RequireMutual
		want   error // nil if it is accepted
	}{
		{desc: "good", mutual: true},
		{desc: "good, without SPNEGO", reply: spnegoserver.ReplyBare, mutual: true},
		{desc: "good, in Proxy-Authentication-Info", final: spnegoserver.FinalInfo, mutual: true},
		{desc: "wrong key", reply: spnegoserver.ReplyWrongKey, want: proxyauth.ErrNotVerified},
		{desc: "wrong key, in Proxy-Authentication-Info", reply: spnegoserver.ReplyWrongKey, final: spnegoserver.FinalInfo, want: proxyauth.ErrNotVerified},
		{desc: "wrong time", reply: spnegoserver.ReplyWrongTime, want: proxyauth.ErrNotVerified},
		{desc: "wrong microseconds", reply: spnegoserver.ReplyWrongMicros, want: proxyauth.ErrNotVerified},
		{desc: "cut", reply: spnegoserver.ReplyCut, want: proxyauth.ErrNotVerified},
		{desc: "garbage", reply: spnegoserver.ReplyGarbage, want: proxyauth.ErrNotVerified},
		{desc: "an error", reply: spnegoserver.ReplyError, want: proxyauth.ErrNotVerified},
		{desc: "SPNEGO alone", reply: spnegoserver.ReplyMissing},
		{desc: "SPNEGO alone, required", reply: spnegoserver.ReplyMissing, mutual: true, want: negotiate.NoMutual},
		{desc: "none", reply: spnegoserver.ReplyNone},
		{desc: "none, required", reply: spnegoserver.ReplyNone, mutual: true, want: negotiate.NoMutual},
		{desc: "kept by squid", final: spnegoserver.FinalNever},
		{desc: "kept by squid, required", final: spnegoserver.FinalNever, mutual: true, want: negotiate.NoMutual},
	} {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				server := &spnegoserver.Server{Faults: spnegoserver.Always(spnegoserver.Faults{Reply: tt.reply})}
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{Server: server, Final: tt.final}, basicToo(testproxy.Config{}))
				l.scheme.RequireMutual = tt.mutual
				if tt.want == nil {
					l.requireLegs(w, kerberosLegs[w.desc])
					return
				}
				req := l.request(http.MethodGet, w.target("/a"), nil)
				resp, err := l.rt.RoundTrip(req)
				require.Nil(t, resp)
				require.ErrorIs(t, requireCause(t, proxyauth.CauseProxyNotVerified, err), tt.want)
				l.legs(kerberosLegs[w.desc].cold...)
				for _, err := range together(10, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
					requireCause(t, proxyauth.CauseProxyNotVerified, err)
				}
				require.NotContains(t, l.tally(), w.method+" Basic 200")
				synctest.Wait()
				for _, conn := range l.proxy.Conns() {
					require.False(t, conn.Open && conn.User != "", "a connection to who knows whom")
				}
			})
		}
	}
}

// basicToo adds Basic to what the proxy offers.
func basicToo(config testproxy.Config) testproxy.Config {
	config.Auth = append(config.Auth, &testproxy.Basic{Realm: "lab"})
	return config
}

// TestNegotiateLocalFailures is about what keeps Negotiate from being begun. It is
// told with its remedy, and is no reason not to try the next scheme.
func TestNegotiateLocalFailures(t *testing.T) {
	t.Parallel()
	cache := func(c kdc.CCache) func(*negotiateLab) {
		return func(l *negotiateLab) {
			l.scheme.Sources = []negotiate.Source{negotiate.TicketCache}
			l.scheme.TicketCache = l.kinit(c)
		}
	}
	bob := kdc.Principal{Name: "bob"}
	for _, tt := range []struct {
		desc   string
		upset  func(*negotiateLab)
		want   error
		remedy string
	}{
		{"no ticket cache", func(l *negotiateLab) { l.scheme.Sources = []negotiate.Source{negotiate.TicketCache} }, negotiate.NoTicket, "kinit"},
		{"ticket expired", cache(kdc.CCache{Client: user, Age: 2 * time.Hour, Life: time.Hour}), negotiate.TicketExpired, "kinit"},
		{"ticket of somebody else", cache(kdc.CCache{Client: "bob"}), negotiate.NoTicket, "kinit"},
		{"cache of another type", func(l *negotiateLab) {
			l.scheme.Sources, l.scheme.TicketCache = []negotiate.Source{negotiate.TicketCache}, "XCACHE:1000"
		}, negotiate.CacheType, "KRB5CCNAME=FILE:"},
		{"KDC down", func(l *negotiateLab) { l.scheme.DialKDC = refuseKDC }, negotiate.KDCUnreachable, "port 88"},
		{"KDC silent", func(l *negotiateLab) { l.scheme.DialKDC = silentKDC }, negotiate.KDCUnreachable, "port 88"},
		{"KDC speaks something else", func(l *negotiateLab) { l.realm.instead(func([]byte) []byte { return []byte("HTTP/1.1 400\r\n") }) }, negotiate.MalformedReply, ""},
		{"clock wrong", func(l *negotiateLab) { l.realm.SetClockOffset(time.Hour) }, negotiate.ClockSkew, "NTP"},
		{"proxy unknown to the KDC", func(l *negotiateLab) { l.realm.Remove(proxySPN) }, negotiate.ServiceUnknown, "setspn -S " + proxySPN},
		{"user unknown to the KDC", func(l *negotiateLab) { l.realm.Remove(user) }, negotiate.ClientUnknown, "realm"},
		{"no encryption type in common", func(l *negotiateLab) { l.realm.Refuse(proxySPN, 14) }, negotiate.EncType, "permitted_enctypes"},
		{"no realm", func(l *negotiateLab) { l.scheme.Realm = "" }, negotiate.NoRealm, "default_realm"},
		{"proxy has no name", func(l *negotiateLab) {
			u := &url.URL{Scheme: "http", Host: "192.0.2.1:3128"}
			l.base.Proxy, l.base.DialContext = http.ProxyURL(u), l.redial
		}, negotiate.IPAddress, "host name"},
	} {
		for _, w := range ways {
			r := newRealm(t, bob)
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
				l.scheme.DisableNTLM = true
				tt.upset(l)
				e := requireKerberosCause(t, w.reach(t.Context(), l.rt, originHost))
				require.ErrorIs(t, e, tt.want)
				require.NotErrorIs(t, e, proxyauth.ErrRejected)
				require.Len(t, e.Tried, 1)
				require.Contains(t, e.Error(), tt.remedy)
				require.Equal(t, map[string]int{w.method + " 407": 1}, l.tally())
			})
			r = newRealm(t, bob)
			bubble(t, tt.desc+", "+w.desc+", Basic too", func(t *testing.T) {
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, basicToo(testproxy.Config{}))
				l.scheme.DisableNTLM = true
				tt.upset(l)
				for range 2 {
					require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				}
				require.Equal(t, map[string]int{w.method + " 407": 1, w.method + " Basic 200": 2}, l.tally())
				require.Zero(t, r.Total().PreauthFailed)
			})
			r = newRealm(t, bob)
			bubble(t, tt.desc+", "+w.desc+", Basic too, at a proxy that takes no NTLM inside", func(t *testing.T) {
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, basicToo(testproxy.Config{}))
				tt.upset(l)
				for range 2 {
					require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				}
				require.Equal(t, 2, l.tally()[w.method+" Basic 200"])
				require.Zero(t, r.Total().PreauthFailed)
			})
		}
	}
}

func refuseKDC(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("connection refused")
}

// silentKDC connects to one that does not answer.
func silentKDC(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go io.Copy(io.Discard, server)
	return client, nil
}

// redial connects to the proxy, whatever the address.
func (l *lab) redial(ctx context.Context, network, _ string) (net.Conn, error) {
	return l.network.DialContext(ctx, network, l.proxy.Addr())
}

// kinit returns the name of a new ticket cache.
func (l *negotiateLab) kinit(c kdc.CCache) string {
	l.t.Helper()
	name := filepath.Join(l.t.TempDir(), "krb5cc")
	require.NoError(l.t, os.WriteFile(name, must(l.realm.CCache(c)), 0o600))
	return name
}

// Where every scheme fails, the error lists each.
func TestNegotiateFailuresAreListed(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		r := newRealm(t)
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, basicToo(testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}}}))
			l.scheme.Sources = nil
			l.rt.Credentials = nil
			e := requireKerberosCause(t, w.reach(t.Context(), l.rt, originHost))
			var tried []string
			for _, s := range e.Tried {
				tried = append(tried, s.Scheme)
			}
			require.Equal(t, []string{"Negotiate", "NTLM", "Basic"}, tried)
			require.ErrorIs(t, e.Tried[0], negotiate.NoTicket)
			require.ErrorIs(t, e.Tried[1], proxyauth.ErrNoCredentials)
			require.ErrorIs(t, e.Tried[2], proxyauth.ErrNoCredentials)
		})
	}
}

// What opens a connection for a request that is held back may be let pass in ways
// that leave no connection, or none that is of use to a body.
func TestNegotiateHeldBack(t *testing.T) {
	t.Parallel()
	closes := testproxy.OnLeg(func(leg *testproxy.Leg) bool {
		return leg.Status == 200 && leg.Method == http.MethodGet
	}, testproxy.CloseOpenly())
	for _, tt := range []struct {
		desc       string
		fault      testproxy.Fault
		perRequest bool
		legs, next []string // of the first request that arrives, and of the next
	}{
		{
			desc: "closed", fault: closes,
			legs: []string{"GET / -> 407", "= GET / Negotiate -> 200", "POST / Negotiate -> 200"},
			next: []string{"= GET / -> 200", "POST / Negotiate -> 200"},
		},
		{
			desc: "kept",
			legs: []string{"GET / -> 407", "= GET / Negotiate -> 200", "= GET / -> 200", "= POST / -> 200"},
			next: []string{"= POST / -> 200"},
		},
		{
			desc: "token per request", perRequest: true,
			legs: []string{"GET / -> 407", "= GET / Negotiate -> 200", "= GET / -> 407", "POST / Negotiate -> 200"},
			next: []string{"POST / Negotiate -> 200"},
		},
	} {
		r := newRealm(t)
		bubble(t, tt.desc, func(t *testing.T) {
			server := &spnegoserver.Server{Faults: spnegoserver.First(1, spnegoserver.Faults{ExtraLegs: 1})}
			m := spnegoserver.Mechanism{Server: server, PerRequest: tt.perRequest}
			l := newNegotiateLab(t, r, m, basicToo(testproxy.Config{Fault: tt.fault}))
			l.scheme.DisableNTLM = true
			post := func() {
				u := newUpload(longBody)
				_, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin+"/", nil), false))
				require.NoError(t, err)
				u.requireClosed(t)
				l.requireUpload(u)
			}
			l.requireBodyGone(longBody)
			l.proxy.Reset()
			post()
			l.legs(tt.legs...)
			post()
			l.legs(tt.next...)
		})
	}
}
