package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// anywhere leads every target to the lab's origins.
func (l *lab) anywhere(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return l.network.DialContext(ctx, network, net.JoinHostPort(originHost, port))
}

// indexOf returns the number that the host of a target begins with.
func indexOf(t testing.TB, target string) int {
	t.Helper()
	name, _, _ := strings.Cut(strings.TrimPrefix(target, "http://"), ".")
	n, err := strconv.Atoi(name)
	require.NoError(t, err, target)
	return n
}

// identitiesShareNothing sends requests of several users and of nobody, through
// several proxies, all at once and over one Transport. Each is let pass as who it
// is, over connections that serve nobody else.
func identitiesShareNothing(t *testing.T) {
	for i, m := range allMechanisms() {
		for _, w := range ways {
			bubble(t, m.Scheme()+" "+w.desc, func(t *testing.T) {
				l := newLab(t, testproxy.Config{Addr: "unused.example.com:3128"})
				addrs := []string{"proxy.example.com:3128", "proxy.example.com:8080", "second.example.com:3128"}
				l.requireIdentitiesApart(w, addrs, func() testproxy.Mechanism {
					m := allMechanisms()[i]
					l.adopt(m)
					return m
				})
			})
		}
	}
}

// negotiateIdentitiesShareNothing does it with tickets, which are for one host.
func negotiateIdentitiesShareNothing(t *testing.T) {
	for _, w := range ways {
		r := newRealm(t, kdc.Principal{Name: "bob", Password: "hunter2"})
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
			l.rt.Schemes = l.rt.Schemes[:1]
			addrs := []string{"proxy.example.com:8080", "proxy.example.com:8081"}
			l.requireIdentitiesApart(w, addrs, func() testproxy.Mechanism {
				return &spnegoserver.Mechanism{Server: &spnegoserver.Server{Keytab: r.Keytab(proxySPN), Service: proxySPN}}
			})
		})
	}
}

// requireIdentitiesApart starts a proxy at each address, and has ann, bob, nobody and who
// guesses ann's password go through each ten times at once.
func (l *lab) requireIdentitiesApart(w way, addrs []string, mechanism func() testproxy.Mechanism) {
	t := l.t
	t.Helper()
	users := []*url.Userinfo{url.UserPassword(user, password), url.UserPassword("bob", "hunter2"), nil, url.UserPassword(user, "wrong")}
	l.base.MaxIdleConnsPerHost = 100
	l.rt.Credentials = nil
	var proxies []*testproxy.Proxy
	for _, addr := range addrs {
		proxies = append(proxies, testproxy.Start(t, testproxy.Config{
			Network: l.network, Addr: addr, Dial: l.anywhere, Auth: []testproxy.Mechanism{mechanism()},
		}))
	}
	l.base.Proxy = func(req *http.Request) (*url.URL, error) {
		n := indexOf(t, req.URL.Host)
		return &url.URL{Scheme: "http", Host: addrs[n/len(users)], User: users[n%len(users)]}, nil
	}
	total := len(addrs) * len(users)
	for i, err := range together(10*total, func(i int) error {
		return w.reach(t.Context(), l.rt, fmt.Sprintf("%d.example.com", i%total))
	}) {
		switch i % len(users) {
		case 2:
			requireCause(t, proxyauth.CauseNoCredentials, err)
		case 3:
			requireCause(t, proxyauth.CauseCredentialsRejected, err)
		default:
			require.NoError(t, err)
		}
	}
	for i, proxy := range proxies {
		served := make(map[int]int) // identity by connection
		for _, leg := range proxy.Legs() {
			n := indexOf(t, leg.Target)
			require.Equal(t, i, n/len(users), "sent to another proxy")
			if leg.Status != http.StatusOK {
				continue
			}
			require.Equal(t, users[n%len(users)].Username(), nameOf(leg))
			if before, ok := served[leg.Conn]; ok {
				require.Equal(t, before, n, "over another's connection")
			}
			served[leg.Conn] = n
		}
		require.NotEmpty(t, served)
		require.Empty(t, proxy.Violations())
	}
}

// anonymousSharesNothing has a proxy that lets some requests pass without a user:
// they are nobody's, also where ann's connections are at hand.
func anonymousSharesNothing(t *testing.T) {
	for i, m := range allMechanisms() {
		bubble(t, m.Scheme(), func(t *testing.T) {
			l := newLab(t, testproxy.Config{
				Auth:      allMechanisms()[i : i+1],
				Anonymous: func(target string) bool { return strings.Contains(target, "/open") },
			})
			l.rt.Credentials = nil
			next := withUser(l.proxy.URL(), user, password)
			l.base.Proxy = func(*http.Request) (*url.URL, error) { return next, nil }
			l.get(httpOrigin + "/")
			l.get(httpOrigin + "/")
			anns := l.proxy.Legs()
			require.Equal(t, user, anns[len(anns)-1].User)
			l.proxy.Reset()
			next = l.proxy.URL()
			l.get(httpOrigin + "/open")
			requireCause(t, proxyauth.CauseNoCredentials, fetch(t.Context(), l.rt, originHost))
			for _, leg := range l.proxy.Legs() {
				require.Empty(t, leg.User)
				require.Empty(t, leg.Scheme)
				require.False(t, slices.ContainsFunc(anns, func(ann testproxy.Leg) bool { return ann.Conn == leg.Conn }), "ann's connection")
			}
		})
	}
}

// nameOf returns the user of a leg, without the realm that Negotiate's have.
func nameOf(leg testproxy.Leg) string {
	name, _, _ := strings.Cut(leg.User, "@")
	return name
}

func negotiateConnectionsAreOnesOwn(t *testing.T) {
	for _, w := range ways {
		r := newRealm(t, kdc.Principal{Name: "bob", Password: "hunter2"})
		bubble(t, w.desc, func(t *testing.T) {
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{}, testproxy.Config{})
			l.rt.Credentials = nil
			l.rt.Schemes = l.rt.Schemes[:1]
			next := withUser(l.proxy.URL(), user, password)
			l.base.Proxy = func(*http.Request) (*url.URL, error) { return next, nil }
			conns := make(map[int]string)
			for range 2 {
				for _, u := range []*url.Userinfo{url.UserPassword(user, password), url.UserPassword("bob", "hunter2"), nil} {
					next = &url.URL{Scheme: "http", Host: l.proxy.Addr(), User: u}
					err := w.reach(t.Context(), l.rt, originHost)
					require.Equal(t, u == nil, err != nil, "%v", err)
					for _, leg := range l.proxy.Legs() {
						name := nameOf(leg)
						require.Contains(t, []string{"", u.Username()}, name)
						if before, ok := conns[leg.Conn]; ok && name != "" {
							require.Equal(t, before, name)
						} else if name != "" {
							conns[leg.Conn] = name
						}
					}
					l.proxy.Reset()
				}
			}
			require.GreaterOrEqual(t, len(conns), 2)
		})
	}
}

// clearedIsGone takes the credentials away from the provider.
func clearedIsGone(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, w way) {
		var gone error
		l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			return credentialsOf(user, password), gone
		})
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.proxy.Reset()
		gone = proxyauth.ErrNoCredentials
		l.rt.Reset()
		for range 3 {
			requireCause(t, proxyauth.CauseNoCredentials, w.reach(t.Context(), l.rt, originHost))
		}
		for _, leg := range l.proxy.Legs() {
			require.Empty(t, leg.Header["Proxy-Authorization"])
			require.Empty(t, leg.User, "over a connection of before")
		}
	})(t)
}

// replacedIsGone has the provider name another user, and the proxy refuse the
// first.
func replacedIsGone(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, w way) {
		now := credentialsOf(user, password)
		l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			return now, nil
		})
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.proxy.Reset()
		now = credentialsOf("bob", "hunter2")
		l.rt.Reset()
		for range 3 {
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		}
		for _, leg := range l.proxy.Legs() {
			require.Contains(t, []string{"", "bob"}, nameOf(leg))
		}
	})(t)
}

// otherProxyGetsNothing goes from one proxy to another that asks for the same in
// the same words: the provider is asked anew, and neither credentials nor a nonce
// of the first reach the second before.
func otherProxyGetsNothing(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, w way) {
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		first := l.proxy.Legs()
		authorization := first[len(first)-1].Header.Get("Proxy-Authorization")
		_, nonce, _ := strings.Cut(authorization, `nonce="`)
		nonce, _, _ = strings.Cut(nonce, `"`)

		second := testproxy.Start(t, testproxy.Config{Network: l.network, Addr: "second.example.com:3128", Auth: []testproxy.Mechanism{
			&testproxy.Digest{Realm: "lab", Accounts: l.users}, &testproxy.Basic{Realm: "lab", Accounts: l.users},
		}})
		l.base.Proxy = http.ProxyURL(second.URL())
		l.asked.Store(0)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		require.EqualValues(t, 1, l.asked.Load())
		legs := second.Legs()
		require.Empty(t, legs[0].Header["Proxy-Authorization"])
		for _, leg := range legs {
			if nonce != "" {
				require.NotContains(t, leg.Head, nonce)
			}
		}
	})(t)
}

// netrcIsForItsHost has a file that knows the proxy, the origin and nobody else.
func netrcIsForItsHost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "netrc")
	require.NoError(t, os.WriteFile(file, []byte(
		"machine proxy.example.com login ann password s3cret\nmachine origin.example.com login bob password hunter2\n"), 0o600))
	everyWay(func(t *testing.T, l *lab, w way) {
		l.rt.Credentials = credentials.Netrc{Path: file}
		l.redirect("moved.example.com", "80", w.target("/"))
		resp, err := (&http.Client{Transport: l.rt}).Get("http://moved.example.com/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		for _, leg := range l.proxy.Legs() {
			require.Contains(t, []string{"", user}, nameOf(leg))
		}
		for _, o := range []*testproxy.Origin{l.origin, l.secure} {
			for _, r := range o.Requests() {
				require.NotContains(t, r.Header, "Authorization")
			}
		}

		m := &testproxy.Basic{Realm: "lab", Accounts: l.users}
		second := testproxy.Start(t, testproxy.Config{Network: l.network, Addr: "second.example.com:3128", Auth: []testproxy.Mechanism{m}})
		l.base.Proxy = http.ProxyURL(second.URL())
		requireCause(t, proxyauth.CauseNoCredentials, w.reach(t.Context(), l.rt, originHost))
		for _, leg := range second.Legs() {
			require.Empty(t, leg.Header["Proxy-Authorization"])
		}
	})(t)
}
