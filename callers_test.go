package proxyauth_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const (
	bobs    = "Basic Ym9iOmh1bnRlcjI="     // bob, hunter2
	nobodys = "Basic bm9ib2R5Om5vdGhpbmc=" // nobody, nothing
)

// TestCallersAuthorization leaves a forwarded request alone to which the caller has
// put a Proxy-Authorization.
func TestCallersAuthorization(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := basicLab(t, nil)
		send := func(target, authorization string) *http.Response {
			req := l.request(http.MethodGet, target, nil)
			req.Header.Set("Proxy-Authorization", authorization)
			resp, _, err := l.do(req)
			require.NoError(t, err)
			require.Same(t, req, resp.Request)
			require.Equal(t, []string{authorization}, req.Header["Proxy-Authorization"])
			return resp
		}
		require.Equal(t, http.StatusOK, send(httpOrigin, bobs).StatusCode)
		require.Equal(t, "bob", l.proxy.Legs()[0].User)
		resp := send(httpOrigin, nobodys)
		require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
		require.Nil(t, proxyauth.ResponseError(resp), "it is not for us to explain")
		require.Zero(t, l.asked.Load())
		l.legs("c1 GET / Basic -> 200", "c1 GET / Basic -> 407")

		l.get(httpOrigin + "/")
		require.Equal(t, user, l.proxy.Legs()[1].User)
		l.legs("c2 GET / -> 407", "c2 GET / Basic -> 200") // not bob's connection

		require.Equal(t, http.StatusOK, send(httpsOrigin, bobs).StatusCode)
		require.Equal(t, user, l.proxy.Legs()[0].User, "the caller's is not for CONNECT")
		require.Empty(t, l.secure.Requests()[0].Header["Proxy-Authorization"])
		l.legs("c3 CONNECT Basic -> 200")
		for _, r := range l.origin.Requests() {
			require.Empty(t, r.Header["Proxy-Authorization"])
		}
	})
}

// TestCallersAuthorizationInConnect sends the one that Base puts into a CONNECT,
// and does not answer the challenge to it.
func TestCallersAuthorizationInConnect(t *testing.T) {
	for _, tt := range []struct {
		desc, authorization string
		ok                  bool
	}{
		{"accepted", bobs, true},
		{"refused", nobodys, false},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, nil)
				l.base.ProxyConnectHeader = http.Header{"Proxy-Authorization": {tt.authorization}}
				_, _, err := l.do(l.request(http.MethodGet, httpsOrigin, nil))
				require.Zero(t, l.asked.Load())
				if tt.ok {
					require.NoError(t, err)
					l.legs("c1 CONNECT Basic -> 200")
					return
				}
				var e *proxyauth.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, proxyauth.CredentialsRejected, e.Cause)
				l.legs("c1 CONNECT Basic -> 407")
			})
		})
	}
}

// TestOrigins407Forwarded returns a 407 that the origin made, out of which proxies
// take the challenge, and does not hold it against the credentials.
func TestOrigins407Forwarded(t *testing.T) {
	for _, m := range mechanisms {
		t.Run(m.scheme, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m.make()}})
				origin := testproxy.StartOrigin(t, testproxy.OriginConfig{
					Network: l.network, Addr: "strange.example.com:80",
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Proxy-Authenticate", `Basic realm="strange"`)
						w.WriteHeader(http.StatusProxyAuthRequired)
					}),
				})
				l.get(httpOrigin + "/")
				l.proxy.Reset()
				resp, _, err := l.do(l.request(http.MethodGet, origin.URL(), nil))
				require.NoError(t, err)
				require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
				require.Equal(t, proxyauth.NoChallenge, proxyauth.ResponseError(resp).Cause)
				require.Len(t, l.proxy.Legs(), 1)
				l.proxy.Reset()
				l.get(httpOrigin + "/")
				require.Len(t, l.proxy.Legs(), 1)
				require.EqualValues(t, 1, l.asked.Load())
			})
		})
	}
}
