package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// spellings are URLs of one proxy, by what is different.
func spellings() map[string][]string {
	all := map[string][]string{
		"names":        {"http://proxy.example.com:3128", "http://Proxy.Example.COM:3128", "http://proxy.example.com.:3128", "http://PROXY.EXAMPLE.COM.:3128"},
		"ports":        {"http://proxy.example.com:3128", "http://proxy.example.com:03128"},
		"default port": {"http://proxy.example.com", "http://proxy.example.com:80", "http://proxy.example.com:", "http://PROXY.example.com.:080"},
		"IPv4-mapped":  {"http://192.0.2.1:3128", "http://[::ffff:192.0.2.1]:3128", "http://[::FFFF:C000:201]:3128", "http://[0:0:0:0:0:ffff:c000:0201]:3128"},
		"https":        {"http://proxy.example.com:3128", "https://proxy.example.com:3128", "https://PROXY.example.com.:03128"},
		"user infos":   nil,
		"all of it":    {"http://ann@proxy.example.com:3128", "https://bob@Proxy.Example.COM:3128", "http://ann:x@proxy.example.com.:03128"},
	}
	for i := range 46 {
		all["user infos"] = append(all["user infos"], fmt.Sprintf("http://user%d@proxy.example.com:3128", i))
	}
	return all
}

// spell gives the requests of a lab one of the URLs in turn. All of them lead to its proxy,
// without TLS.
func (l *lab) spell(urls []string) {
	dial := l.base.DialContext
	l.base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, l.proxy.Addr())
	}
	l.base.DialTLSContext = l.base.DialContext
	var n atomic.Int64
	l.base.Proxy = func(*http.Request) (*url.URL, error) {
		return url.Parse(urls[int(n.Add(1))%len(urls)])
	}
}

// A secret is sent to one proxy once, under whatever name, port, scheme and user info it
// goes.
func TestSpellingsAreOneProxy(t *testing.T) {
	t.Parallel()
	for desc, urls := range spellings() {
		eachScheme(t, desc, func(t testing.TB, m testproxy.Mechanism, w way) {
			l, _ := newCaseLab(t, wrongPassword, m)
			l.spell(urls)
			l.proxy.SetFault(slowly(50 * time.Millisecond))
			for _, err := range crowd(t, l, w, 50) {
				require.Error(t, err)
			}
			require.Len(t, l.completing(), mostRefused)
		})
		eachHolds(t, desc+", floor", func(t testing.TB, w way) {
			digest, weak := &testproxy.Digest{Realm: "lab"}, &testproxy.Basic{Realm: "lab"}
			l, _ := newCaseLab(t, password, digest)
			l.adopt(weak)
			l.spell(urls[:1])
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.proxy.SetAuth(weak)
			l.spell(urls[1:])
			for range 3 {
				l.base.CloseIdleConnections()
				require.Error(t, w.reach(t.Context(), l.rt, originHost))
			}
			require.NotContains(t, l.schemesSent(), "Basic")
		})
	}
}

// A secret that was refused in one scheme is not sent in another.
func TestSchemesShareTheLimitOfASecret(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"Basic", "Digest", "NTLM"}, {"NTLM", "Digest", "Basic"}} {
		eachHolds(t, order[0]+" first", func(t testing.TB, w way) {
			l, provider := newCaseLab(t, wrongPassword)
			l.rt.InsecureAllowDowngrade = true
			for _, host := range []string{originHost, otherHost(0), otherHost(1)} {
				for _, scheme := range order {
					m := mechanismOf(scheme)
					l.adopt(m)
					l.proxy.SetAuth(m)
					for _, err := range together(20, func(int) error { return w.reach(t.Context(), l.rt, host) }) {
						require.Error(t, err)
					}
				}
				time.Sleep(time.Minute)
			}
			require.Equal(t, order[:1], l.schemesSent()[:1])
			require.Len(t, l.completing(), 2, "once, and once more at another target")
			require.Equal(t, []string{wrongPassword}, provider.rejected)
		})
	}
}

// A secret is sent to two proxies that refuse it, once to each, and to no third one, unless
// one has accepted it.
func TestThirdProxyIsNotSentWhatTwoHaveRefused(t *testing.T) {
	t.Parallel()
	for _, accepted := range []bool{false, true} {
		eachScheme(t, fmt.Sprintf("accepted by one %v", accepted), func(t testing.TB, m testproxy.Mechanism, w way) {
			l, _ := newCaseLab(t, password, m)
			if accepted {
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			}
			for i := range 4 {
				other := mechanismOf(m.Scheme())
				l.adopt(other)
				l.proxy = testproxy.Start(t, testproxy.Config{
					Network: l.network, Addr: fmt.Sprintf("proxy%d.example.com:3128", i), Auth: []testproxy.Mechanism{other},
					Fault: testproxy.OnLeg(isCompleting, &testproxy.Action{Status: http.StatusProxyAuthRequired}),
				})
				l.base.Proxy = http.ProxyURL(l.proxy.URL())
				for _, err := range crowd(t, l, w, 20) {
					require.Error(t, err)
				}
				want := 1
				if i >= 2 && !accepted {
					want = 0
				}
				require.Len(t, l.completing(), want, "proxy %d", i)
			}
		})
	}
}

// Nor are more than two sent it at once before their answers are known. A right one passes as
// soon as one has accepted it.
func TestManyProxiesAtOnce(t *testing.T) {
	t.Parallel()
	const proxies = 30
	for _, secret := range []string{password, wrongPassword} {
		eachScheme(t, fmt.Sprintf("right %v", secret == password), func(t testing.TB, m testproxy.Mechanism, w way) {
			l, _ := newCaseLab(t, secret, m)
			urls := make([]*url.URL, proxies)
			var sent atomic.Int64
			for i := range urls {
				other := mechanismOf(m.Scheme())
				l.adopt(other)
				slow := slowly(100 * time.Millisecond)
				urls[i] = testproxy.Start(t, testproxy.Config{
					Network: l.network, Addr: fmt.Sprintf("proxy%d.example.com:3128", i), Auth: []testproxy.Mechanism{other}, Hosts: otherHosts,
					Fault: func(leg *testproxy.Leg) *testproxy.Action {
						if isCompleting(leg) {
							sent.Add(1)
						}
						return slow(leg)
					},
				}).URL()
			}
			var n atomic.Int64
			l.base.Proxy = func(*http.Request) (*url.URL, error) { return urls[n.Add(1)%proxies], nil }
			start := time.Now()
			for _, err := range together(proxies, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
				if secret == password {
					require.NoError(t, err)
				} else {
					requireCause(t, proxyauth.CauseCredentialsRejected, err)
				}
			}
			require.LessOrEqual(t, time.Since(start), time.Second)
			require.EqualValues(t, map[string]int{password: proxies, wrongPassword: 2}[secret], sent.Load())
		})
	}
}
