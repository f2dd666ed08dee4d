package e2e_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// strength returns one mechanism for each scheme, the strongest first, that know
// the lab's users.
func (l *lab) strength() (ntlm, digest, basic testproxy.Mechanism) {
	ntlm, digest, basic = &testproxy.NTLM{}, &testproxy.Digest{Realm: "lab"}, &testproxy.Basic{Realm: "lab"}
	l.adopt(ntlm)
	l.adopt(digest)
	l.adopt(basic)
	return ntlm, digest, basic
}

// requireForbidden requires err to be that of a rule, which text and hint call by
// the name of its field.
func requireForbidden(t *testing.T, field string, err error) *proxyauth.Error {
	t.Helper()
	e := requireCause(t, proxyauth.CausePolicyForbids, err)
	require.ErrorIs(t, e, proxyauth.ErrForbidden)
	require.Contains(t, e.Error(), field)
	require.Contains(t, e.Hint(), field)
	require.NotContains(t, e.Hint(), proxyauth.ErrForbidden.Error())
	return e
}

// schemesSent returns the schemes of the authorizations since the last Reset, each
// once.
func (l *lab) schemesSent() (sent []string) {
	for _, leg := range l.proxy.Legs() {
		if n := len(sent); leg.Scheme != "" && (n == 0 || sent[n-1] != leg.Scheme) {
			sent = append(sent, leg.Scheme)
		}
	}
	return sent
}

// eachWay runs f in a bubble for each path, with a lab of its own.
func eachWay(t *testing.T, desc string, f func(t *testing.T, w way)) {
	for _, w := range ways {
		bubble(t, desc+", "+w.desc, func(t *testing.T) { f(t, w) })
	}
}

// TestAllowProxy asks the rule before anything else is done about a challenge, and
// shows it nothing of the user info.
func TestAllowProxy(t *testing.T) {
	t.Parallel()
	for i, mechanism := range allMechanisms() {
		for _, tt := range []struct {
			desc       string
			preemptive bool
		}{{"asked", false}, {"preemptive", true}} {
			eachWay(t, mechanism.Scheme()+" "+tt.desc, func(t *testing.T, w way) {
				l := newLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]})
				l.rt.Preemptive = tt.preemptive
				l.base.Proxy = http.ProxyURL(withUser(l.proxy.URL(), "bob", "hunter2"))
				l.rt.AllowProxy = func(_ context.Context, u *url.URL) bool {
					require.Equal(t, "http://proxy.example.com:3128", u.String())
					return false
				}
				e := requireForbidden(t, "Transport.AllowProxy", w.reach(t.Context(), l.rt, originHost))
				require.Equal(t, 407, e.Status)
				require.Zero(t, l.asked.Load(), "the provider was asked")
				require.Equal(t, map[string]int{w.method + " 407": 1}, l.tally())
			})
		}
	}
}

// Another proxy may be on the list. What needs no credentials is not its business.
func TestAllowProxyIsPerProxy(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		open := testproxy.Start(t, testproxy.Config{Network: l.network, Addr: "open.example.com:3128"})
		l.rt.AllowProxy = proxyauth.AllowHosts("proxy.example.com")
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.base.Proxy = http.ProxyURL(open.URL())
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		open.SetAuth(&testproxy.Basic{Realm: "lab", Accounts: l.users})
		open.Disconnect()
		synctest.Wait()
		requireForbidden(t, "Transport.AllowProxy", w.reach(t.Context(), l.rt, originHost))
		for _, leg := range open.Legs() {
			require.Empty(t, leg.Scheme)
		}
	})
}

func TestAllowHosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host  string
		proxy string
		want  bool
	}{
		{"proxy.example.com", "http://proxy.example.com:3128", true},
		{"proxy.example.com", "https://proxy.example.com:443", true},
		{"PROXY.Example.com", "http://proxy.example.com:3128", true},
		{"proxy.example.com", "http://Proxy.Example.COM:3128", true},
		{"proxy.example.com:3128", "http://proxy.example.com:3128", true},
		{"PROXY.example.com:3128", "http://proxy.example.com:3128", true},
		{"proxy.example.com:3128", "http://proxy.example.com:3129", false},
		{"proxy.example.com:80", "http://proxy.example.com:80", true},
		{"proxy.example.com", "http://proxy.example.com.evil.example:3128", false},
		{"proxy.example.com", "http://evilproxy.example.com:3128", false},
		{"proxy.example.com", "http://x.proxy.example.com:3128", false},
		{".example.com", "http://proxy.example.com:3128", true},
		{".Example.Com", "http://a.b.example.com:3128", true},
		{".example.com", "http://example.com:3128", false},
		{".example.com", "http://evilexample.com:3128", false},
		{"example.com", "http://proxy.example.com:3128", false},
		{"192.0.2.1", "http://192.0.2.1:3128", true},
		{"192.0.2.1", "http://192.0.2.10:3128", false},
		{"2001:db8::1", "http://[2001:db8::1]:3128", true},
		{"[2001:db8::1]", "http://[2001:db8::1]:3128", true},
		{"[2001:DB8::1]:3128", "http://[2001:db8::1]:3128", true},
		{"[2001:db8::1]:3128", "http://[2001:db8::1]:3129", false},
		{"", "http://proxy.example.com:3128", false},
	} {
		u, err := url.Parse(tt.proxy)
		require.NoError(t, err)
		require.Equal(t, tt.want, proxyauth.AllowHosts("other.example.com", tt.host)(t.Context(), u), "%q, %s", tt.host, tt.proxy)
	}
	require.False(t, proxyauth.AllowHosts()(t.Context(), &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}))

	hosts := []string{"proxy.example.com"}
	allow := proxyauth.AllowHosts(hosts...)
	hosts[0] = "evil.example.com"
	require.False(t, allow(t.Context(), &url.URL{Scheme: "http", Host: "evil.example.com:3128"}), "the list is shared with the caller")
}

// TestForbidCleartext lets what reveals the secret through TLS alone.
func TestForbidCleartext(t *testing.T) {
	t.Parallel()
	basicFirst := []proxyauth.Scheme{basic.Scheme{}, digest.Scheme{}}
	for _, tt := range []struct {
		desc    string
		schemes []proxyauth.Scheme
		auth    []testproxy.Mechanism
		tls     bool
		sent    []string // nil if it is forbidden
	}{
		{"http", allSchemes(), []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}, false, nil},
		{"https", allSchemes(), []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}, true, []string{"Basic"}},
		{"http with Digest", basicFirst, []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}, &testproxy.Digest{Realm: "lab"}}, false, []string{"Digest"}},
		{"https with Digest", basicFirst, []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}, &testproxy.Digest{Realm: "lab"}}, true, []string{"Basic"}},
		{"http with NTLM", allSchemes(), []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}, &testproxy.NTLM{}}, false, []string{"NTLM"}},
	} {
		for _, preemptive := range []bool{false, true} {
			desc := tt.desc
			if preemptive {
				desc += ", preemptive"
			}
			eachWay(t, desc, func(t *testing.T, w way) {
				config := testproxy.Config{Auth: tt.auth}
				if tt.tls {
					config.TLS = ca.ServerConfig("proxy.example.com")
				}
				l := newLab(t, config)
				l.rt.ForbidCleartext, l.rt.Preemptive, l.rt.Schemes = true, preemptive, tt.schemes
				err := w.reach(t.Context(), l.rt, originHost)
				if tt.sent == nil {
					requireForbidden(t, "Transport.ForbidCleartext", err)
				} else {
					require.NoError(t, err)
				}
				sent := l.schemesSent()
				if preemptive && len(sent) > len(tt.sent) {
					require.Equal(t, "NTLM", sent[0], "it was not asked for, and may be sent")
					sent = sent[1:]
				}
				require.ElementsMatch(t, tt.sent, sent)
			})
		}
	}
}

// TestMinAlgorithm holds Digest to its own rule.
func TestMinAlgorithm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc    string
		offered []string
		basic   bool
		clear   bool // Transport.ForbidCleartext
		want    string
		field   string
	}{
		{desc: "strong enough", offered: []string{"MD5", "SHA-256"}, want: "SHA-256"},
		{desc: "stronger", offered: []string{"SHA-256", "SHA-512-256"}, want: "SHA-512-256"},
		{desc: "too weak", offered: []string{"MD5"}, field: "digest.Scheme.MinAlgorithm"},
		{desc: "too weak, both", offered: []string{"MD5", "MD5-sess"}, field: "digest.Scheme.MinAlgorithm"},
		{desc: "too weak, with Basic", offered: []string{"MD5"}, basic: true, want: "Basic"},
		{desc: "too weak, with Basic forbidden", offered: []string{"MD5"}, basic: true, clear: true, field: "Transport.ForbidCleartext"},
	} {
		eachWay(t, tt.desc, func(t *testing.T, w way) {
			auth := []testproxy.Mechanism{&testproxy.Digest{Realm: "lab", Algorithms: tt.offered}}
			if tt.basic {
				auth = append(auth, &testproxy.Basic{Realm: "lab"})
			}
			l := newLab(t, testproxy.Config{Auth: auth})
			l.rt.Schemes = []proxyauth.Scheme{digest.Scheme{MinAlgorithm: digest.SHA256}, basic.Scheme{}}
			l.rt.ForbidCleartext = tt.clear
			err := w.reach(t.Context(), l.rt, originHost)
			if tt.field != "" {
				requireForbidden(t, tt.field, err)
				require.Empty(t, l.schemesSent())
				return
			}
			require.NoError(t, err)
			require.Len(t, l.schemesSent(), 1)
			last := l.proxy.Legs()[1]
			if tt.want == "Basic" {
				require.Equal(t, "Basic", last.Scheme)
			} else {
				require.Contains(t, last.Header.Get("Proxy-Authorization"), "algorithm="+tt.want+",")
			}
		})
	}
}

// TestRuleIsAskedAtRenewal has a rule that no longer allows the proxy when a lease ends.
func TestRuleIsAskedAtRenewal(t *testing.T) {
	t.Parallel()
	eachWay(t, "", func(t *testing.T, w way) {
		l, p := newLeasedLab(t, &testproxy.Basic{Realm: "lab"})
		allowed := true
		l.rt.AllowProxy = func(_ context.Context, _ *url.URL) bool { return allowed }
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		allowed = false
		time.Sleep(2 * lease)
		l.hangUp()
		requireForbidden(t, "Transport.AllowProxy", w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, 1, p.n)
	})
}
