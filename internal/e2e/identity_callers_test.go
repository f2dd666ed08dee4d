package e2e_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
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
	t.Parallel()
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
		require.Nil(t, explained(resp), "it is not for us to explain")
		require.Zero(t, l.asked.Load())
		l.legs("GET / Basic -> 200", "= GET / Basic -> 407")

		l.get(httpOrigin + "/")
		require.Equal(t, user, l.proxy.Legs()[1].User)
		l.legs("+ GET / -> 407", "= GET / Basic -> 200") // not bob's connection

		require.Equal(t, http.StatusOK, send(httpsOrigin, bobs).StatusCode)
		require.Equal(t, user, l.proxy.Legs()[0].User, "the caller's is not for CONNECT")
		require.Empty(t, l.secure.Requests()[0].Header["Proxy-Authorization"])
		l.legs("CONNECT Basic -> 200")
		for _, r := range l.origin.Requests() {
			require.Empty(t, r.Header["Proxy-Authorization"])
		}
	})
}

// With DisableKeepAlives a request that its caller authenticates says that it is the last on its
// connection, as with net/http.
func TestCallersAuthorizationWithoutKeepAlives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := basicLab(t, nil)
		l.base.DisableKeepAlives = true
		for range 2 {
			req := l.request(http.MethodGet, httpOrigin, nil)
			req.Header.Set("Proxy-Authorization", bobs)
			_, _, err := l.do(req)
			require.NoError(t, err)
		}
		for _, leg := range l.proxy.Legs() {
			require.Equal(t, "close", leg.Header.Get("Connection"))
		}
		l.legs("+ GET / Basic -> 200", "+ GET / Basic -> 200")
	})
}

// TestCallersAuthorizationSpelled knows the field under keys that net/http would
// not write itself, and sends as they are.
func TestCallersAuthorizationSpelled(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"Proxy-Authorization", "proxy-authorization", "PROXY-AUTHORIZATION", "proxy-Authorization"} {
		for _, tt := range []struct {
			desc, target string
			direct       bool
			proto        int // to the origin
		}{
			{desc: "forwarded", target: httpOrigin, proto: 1},
			{desc: "tunnelled", target: httpsOrigin, proto: 1},
			{desc: "tunnelled HTTP/2", target: httpsOrigin, proto: 2},
			{desc: "directly", target: httpOrigin, direct: true, proto: 1},
		} {
			t.Run(tt.desc+" "+key, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := basicLab(t, nil)
					l.base.ForceAttemptHTTP2 = tt.proto == 2
					if tt.direct {
						l.base.Proxy = nil
					}
					l.get(tt.target + "/") // with the Transport's own, where there is a proxy
					l.hangUp()
					l.origin.Reset()
					l.secure.Reset()
					l.proxy.Reset()
					req := l.request(http.MethodGet, tt.target, nil)
					req.Header = http.Header{key: {bobs}, "x-mine": {"yes"}}
					resp, _, err := l.do(req)
					require.NoError(t, err)
					require.Equal(t, tt.proto, resp.ProtoMajor)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					require.Same(t, req, resp.Request)
					require.Equal(t, http.Header{key: {bobs}, "x-mine": {"yes"}}, req.Header, "it was changed")
					got := slices.Concat(l.origin.Requests(), l.secure.Requests())
					require.Len(t, got, 1)
					require.Empty(t, got[0].Header["Proxy-Authorization"])
					require.Equal(t, []string{"yes"}, got[0].Header["X-Mine"])
					if tt.target == httpOrigin && !tt.direct {
						require.Equal(t, []string{bobs}, l.proxy.Legs()[0].Header["Proxy-Authorization"])
						l.legs("GET / Basic -> 200")
					}
				})
			})
		}
	}
}

// TestCallersAuthorizationInTrailer refuses a Trailer that would take the field to
// an origin.
func TestCallersAuthorizationInTrailer(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"Proxy-Authorization", "proxy-authorization"} {
		for _, target := range []string{httpOrigin, httpsOrigin} {
			t.Run(key+" "+target, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := basicLab(t, nil)
					u := newUpload(10)
					req := u.put(l.request(http.MethodPost, target, nil), false)
					req.ContentLength = -1
					req.Trailer = http.Header{"X-Sum": nil, key: {bobs}}
					_, _, err := l.do(req)
					require.ErrorContains(t, err, "Proxy-Authorization in the Trailer")
					u.requireClosed(t)
					require.Empty(t, l.proxy.Legs())
				})
			})
		}
	}
}

// TestCallersAuthorizationInConnect sends the one that Base puts into a CONNECT,
// and does not answer the challenge to it.
func TestCallersAuthorizationInConnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc, key, authorization string
		ok, hook                 bool
	}{
		{desc: "accepted", key: "Proxy-Authorization", authorization: bobs, ok: true},
		{desc: "refused", key: "Proxy-Authorization", authorization: nobodys},
		{desc: "accepted in lower case", key: "proxy-authorization", authorization: bobs, ok: true},
		{desc: "refused in lower case", key: "proxy-authorization", authorization: nobodys},
		{desc: "accepted from the hook", key: "PROXY-authorization", authorization: bobs, ok: true, hook: true},
		{desc: "refused from the hook", key: "PROXY-authorization", authorization: nobodys, hook: true},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := basicLab(t, nil)
				header := http.Header{tt.key: {tt.authorization}}
				if tt.hook {
					l.base.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { return header, nil }
				} else {
					l.base.ProxyConnectHeader = header
				}
				l.get(httpOrigin + "/") // with the Transport's own
				l.hangUp()
				l.proxy.Reset()
				_, _, err := l.do(l.request(http.MethodGet, httpsOrigin, nil))
				require.Equal(t, []string{tt.authorization}, l.proxy.Legs()[0].Header["Proxy-Authorization"])
				require.Equal(t, http.Header{tt.key: {tt.authorization}}, header, "it was changed")
				if tt.ok {
					require.NoError(t, err)
					l.legs("CONNECT Basic -> 200")
					return
				}
				var e *proxyauth.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, proxyauth.CauseCredentialsRejected, e.Cause)
				l.legs("CONNECT Basic -> 407")
			})
		})
	}
}

// TestOrigins407Forwarded returns a 407 that the origin made, out of which proxies
// take the challenge, and does not hold it against the credentials.
func TestOrigins407Forwarded(t *testing.T) {
	t.Parallel()
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
				require.Equal(t, proxyauth.CauseNoChallenge, explained(resp).Cause)
				require.Len(t, l.proxy.Legs(), 1)
				l.proxy.Reset()
				l.get(httpOrigin + "/")
				require.Len(t, l.proxy.Legs(), 1)
				require.EqualValues(t, 1, l.asked.Load())
			})
		})
	}
}
