package e2e_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A proxy that is set up anew to offer a stronger scheme has not refused the
// credentials.
func TestProxyChangesScheme(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.get(httpOrigin + "/a")
		l.legs("GET /a -> 407", "= GET /a Basic -> 200")
		l.proxy.SetAuth(&testproxy.Digest{Realm: "lab", Accounts: l.users})
		l.get(httpOrigin + "/b")
		l.legs("GET /b Basic -> 407", "= GET /b Digest -> 200")
		l.get(httpsOrigin + "/c")
		l.legs("CONNECT Digest -> 200")
		l.proxy.SetAuth(&testproxy.Basic{Realm: "lab", Accounts: l.users})
		resp, _, err := l.do(l.request(http.MethodGet, httpOrigin+"/d", nil))
		require.NoError(t, err)
		require.Equal(t, proxyauth.CausePolicyForbids, explained(resp).Cause)
		l.legs("GET /d Digest -> 407")
	})
}

// An HTTP/2 implementation that the program has registered keeps connections of
// its own, which clones of Base share: it is not let into tunnels.
func TestRegisteredHTTP2(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.base.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
			"h2": func(string, *tls.Conn) http.RoundTripper {
				t.Error("the registered implementation was used")
				return http.DefaultTransport
			},
		}
		require.Equal(t, "HTTP/2.0", l.get(httpsOrigin+"/a").Proto)
	})
}
