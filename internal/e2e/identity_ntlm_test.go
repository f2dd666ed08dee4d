package e2e_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// identities returns the users of each connection.
func identities(p *testproxy.Proxy) map[int][]string {
	users := make(map[int][]string)
	for _, leg := range p.Legs() {
		if leg.Status == 200 && !slices.Contains(users[leg.Conn], leg.User) {
			users[leg.Conn] = append(users[leg.Conn], leg.User)
		}
	}
	return users
}

// No connection serves two users, or a request that its caller authenticates.
func TestNTLMIdentities(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		bubble(t, way.desc, func(t *testing.T) {
			l, _ := newNTLMLab(t, nil, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
			transports := []*proxyauth.Transport{l.rt, l.transport("bob", "hunter2")}
			for _, account := range [][2]string{{user, password}, {"bob", "hunter2"}} {
				rt := l.transport("", "")
				rt.Credentials = nil
				rt.Base = l.base.Clone()
				rt.Base.(*http.Transport).Proxy = http.ProxyURL(withUser(l.proxy.URL(), account[0], account[1]))
				transports = append(transports, rt)
			}
			require.NoError(t, errors.Join(together(64, func(i int) error {
				for range 5 {
					if err := way.reach(t.Context(), transports[i%len(transports)], originHost); err != nil {
						return err
					}
				}
				if way.method != http.MethodGet {
					return nil
				}
				req := l.request(http.MethodGet, httpOrigin, nil)
				req.SetBasicAuth(user, password)
				req.Header["Proxy-Authorization"] = req.Header["Authorization"]
				resp, err := transports[i%len(transports)].RoundTrip(req)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				_, err = io.Copy(io.Discard, resp.Body)
				return err
			})...))
			for conn, users := range identities(l.proxy) {
				require.Len(t, users, 1, "c%d", conn)
			}
			require.Empty(t, l.proxy.Violations())
		})
	}
}

// A provider may name another user once the first, who was accepted, is refused. Connections of the
// first are not used any more, also not the ones that were busy at the time.
func TestNTLMChangeOfUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newNTLMLab(t, nil, testproxy.Config{})
		l.rt.Credentials = proxyauth.CredentialsFunc(func(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			if req.Doubted {
				return proxyauth.Credentials{Username: "bob", Password: proxyauth.NewSecret("hunter2")}, nil
			}
			return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
		})
		l.get(httpOrigin + "/")
		hold := make(chan struct{})
		l.proxy.SetFault(func(leg *testproxy.Leg) *testproxy.Action {
			if strings.HasSuffix(leg.Target, "/held") {
				<-hold
			}
			return nil
		})
		held := make(chan error)
		go func() {
			_, _, err := l.do(l.request(http.MethodGet, httpOrigin+"/held", nil))
			held <- err
		}()
		synctest.Wait()
		m := &testproxy.NTLM{Server: &ntlmserver.Server{Users: map[string]string{"bob": "hunter2"}}}
		l.proxy.SetAuth(m) // connections stay authenticated
		l.proxy.Reset()
		l.get(httpOrigin + "/")
		close(hold)
		require.NoError(t, <-held)
		synctest.Wait()
		for _, conn := range l.proxy.Conns() {
			require.False(t, conn.Open && conn.User == user, "c%d", conn.Number)
		}
		require.NoError(t, errors.Join(together(4, func(int) error { return fetch(t.Context(), l.rt, originHost) })...))
		for _, leg := range l.proxy.Legs() {
			if leg.Status == 200 {
				require.Equal(t, "bob", leg.User)
			}
		}
		require.Empty(t, l.proxy.Violations())
	})
}

// A password that is changed at the proxy while many requests are under way is
// refused once, where none had been sent it before; with the new one of the
// provider all goes on.
func TestNTLMPasswordChanges(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		bubble(t, way.desc, func(t *testing.T) {
			const workers = 32
			var current atomic.Value
			current.Store(password)
			l, _ := newNTLMLab(t, nil, testproxy.Config{})
			l.rt.Credentials = proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
				return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(current.Load().(string))}, nil
			})
			reach := func(int) error { return way.reach(t.Context(), l.rt, originHost) }
			require.NoError(t, errors.Join(together(workers, reach)...))

			m := l.newPasswords(map[string]string{user: "new"})
			requireCause(t, proxyauth.CauseDenied, reach(0))
			for _, err := range together(workers, reach) {
				requireCause(t, proxyauth.CauseDenied, err)
			}
			require.Equal(t, 1, m.Server.Failures(user))

			current.Store("new")
			require.NoError(t, errors.Join(together(workers, reach)...))
			require.Equal(t, 1, m.Server.Failures(user))

			// With all of them at once, those under way are refused too.
			m = l.newPasswords(map[string]string{user: "newer"})
			for _, err := range together(workers, reach) {
				requireCause(t, proxyauth.CauseDenied, err)
			}
			require.LessOrEqual(t, m.Server.Failures(user), workers)
			failures := m.Server.Failures(user)
			for _, err := range together(workers, reach) {
				requireCause(t, proxyauth.CauseDenied, err)
			}
			require.Equal(t, failures, m.Server.Failures(user))
			require.Empty(t, l.proxy.Violations())
		})
	}
}
