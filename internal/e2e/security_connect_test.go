package e2e_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// withSecrets returns a request to the https:// origin that has everything that is
// the origin's alone.
func (l *lab) withSecrets() *http.Request {
	req := l.request(http.MethodPost, "https://ann:of-the-origin@"+originHost+"/path-of-the-origin", strings.NewReader("body-of-the-origin"))
	for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization"} {
		req.Header.Set(name, "of-the-origin")
	}
	return req
}

// requireNothingOfTheOrigins requires the proxy to have seen none of it.
func (l *lab) requireNothingOfTheOrigins() {
	l.t.Helper()
	require.NotEmpty(l.t, l.proxy.Legs())
	for _, leg := range l.proxy.Legs() {
		require.NotContains(l.t, leg.Head, "of-the-origin")
		require.NotContains(l.t, leg.Head, "YW5uOm9mLXRoZS1vcmlnaW4", "in base64")
	}
	require.Empty(l.t, l.proxy.Violations())
}

// connectAnswers answers CONNECT with everything that there is, with and without
// credentials.
func connectAnswers(t *testing.T) {
	const page = "<script>this is the origin, honestly</script>"
	cookie := http.Header{"Set-Cookie": {"id=evil"}, "Location": {"http://evil.example.com/"}, "Www-Authenticate": {`Basic realm="origin"`}}
	refuse := func(status int) *testproxy.Action {
		return &testproxy.Action{Status: status, Body: page, Header: cookie}
	}
	for _, tt := range []struct {
		desc   string
		action *testproxy.Action
		open   bool // the tunnel
		status int  // of the error
	}{
		{"200", testproxy.Connected(200, cookie, ""), true, 0},
		{"201", testproxy.Connected(201, cookie, ""), true, 0},
		{"204", testproxy.Connected(204, cookie, ""), true, 0},
		{"299", testproxy.Connected(299, cookie, ""), true, 0},
		{"300", refuse(300), false, 300},
		{"301", refuse(301), false, 301},
		{"304", refuse(304), false, 304},
		{"307", refuse(307), false, 307},
		{"400", refuse(400), false, 400},
		{"401", refuse(401), false, 401},
		{"403", refuse(403), false, 403},
		{"404", refuse(404), false, 404},
		{"407", &testproxy.Action{Status: 407, Body: page, Header: cookie, Challenges: []string{"Basic realm=lab"}}, false, 407},
		{"407 without a challenge", &testproxy.Action{Status: 407, Body: page, Header: cookie, Challenges: []string{}}, false, 407},
		{"500", refuse(500), false, 500},
		{"502", refuse(502), false, 502},
		{"101", &testproxy.Action{Status: 101, Header: cookie}, false, 101},
		{"199", &testproxy.Action{Interim: "199 Odd", InterimCount: -1}, false, 0},
		{"600", refuse(600), false, 600},
		{"garbage", testproxy.Garbage("\x16\x03\x01 200 OK\r\n\r\n" + page), false, 0},
		{"HTTP/0.9", testproxy.Garbage(page), false, 0},
		{"nothing", testproxy.DropAt(testproxy.OnRequest), false, 0},
	} {
		for desc, fault := range map[string]testproxy.Fault{
			"at once":        testproxy.Always(tt.action),
			"to credentials": testproxy.OnScheme("Basic", tt.action),
		} {
			bubble(t, tt.desc+" "+desc, func(t *testing.T) {
				if tt.open {
					fault = testproxy.On(200, tt.action) // else the proxy opens no tunnel
				}
				l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}, Fault: fault})
				resp, body, err := l.do(l.withSecrets())
				l.requireNothingOfTheOrigins()
				if tt.open {
					require.NoError(t, err)
					require.Equal(t, "hello from POST /path-of-the-origin", body)
					require.Empty(t, resp.Header["Set-Cookie"])
					return
				}
				require.Nil(t, resp)
				e, ok := errors.AsType[*proxyauth.Error](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, tt.status, e.Status)
				require.NotContains(t, e.Error()+e.Hint(), "script")
				require.Empty(t, l.secure.Requests())
				require.LessOrEqual(t, len(l.proxy.Legs()), 4)
				l.requireQuiet()
			})
		}
	}
}

// connect401GetsNothing has a proxy ask for credentials in the origin's name.
func connect401GetsNothing(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, w way) {
		if w.method != http.MethodConnect {
			return // 401 is then the origin's, and the program's to answer
		}
		l.proxy.SetFault(testproxy.Always(&testproxy.Action{Status: 401, Header: http.Header{"Www-Authenticate": {`Basic realm="origin"`}}}))
		for range 3 {
			resp, _, err := l.do(l.withSecrets())
			require.Nil(t, resp)
			requireCause(t, proxyauth.CauseProxyFailed, err)
		}
		l.requireNothingOfTheOrigins()
		for _, leg := range l.proxy.Legs() {
			require.Empty(t, leg.Scheme, "the proxy has not asked")
		}
		require.Zero(t, l.asked.Load())
	})(t)
}

// deniedLeavesNothing denies every tunnel, and looks at what is left of it.
func deniedLeavesNothing(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, w way) {
		if w.method != http.MethodConnect {
			return
		}
		for _, status := range []int{302, 401, 403, 407, 502} {
			l.rt.Reset()
			l.proxy.SetFault(testproxy.On(200, testproxy.Refuse(status, "denied")))
			for _, err := range together(10, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
				require.Error(t, err)
			}
			l.requireQuiet()
		}
		l.rt.Reset()
		l.proxy.SetFault(nil)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
	})(t)
}

// ownFollowsNoRedirect redirects a request to which the program has put a
// Proxy-Authorization of its own: from http to https, on the same host.
func ownFollowsNoRedirect(t *testing.T) {
	everyWay(func(t *testing.T, l *lab, _ way) {
		for _, target := range []string{"https://moved.example.com/", httpsOrigin + "/", httpOrigin + "/"} {
			const host = "moved.example.com"
			from := l.redirect(host, "80", target)
			to := testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network, Addr: host + ":443", TLS: ca.ServerConfig(host)})
			req := l.request(http.MethodGet, "http://"+host+"/", nil)
			req.Header.Set("Proxy-Authorization", bobs)
			l.proxy.Reset()
			l.proxy.SetAuth(&testproxy.Basic{Realm: "lab", Accounts: l.users})
			l.rt.Reset()
			resp, err := (&http.Client{Transport: l.rt}).Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusOK, resp.StatusCode)
			requireNoAuthorization(t, from, to, l.origin, l.secure)
			for _, leg := range l.proxy.Legs() {
				if leg.Method == http.MethodConnect {
					require.NotContains(t, leg.Head, bobs)
				}
			}
			require.Empty(t, l.proxy.Violations())
			require.NoError(t, from.Close())
			require.NoError(t, to.Close())
		}
	})(t)
}
