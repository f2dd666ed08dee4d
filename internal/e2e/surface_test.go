package e2e_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

// With ErrorOn407 an unanswered challenge is an error, forwarded or not.
func TestErrorOn407(t *testing.T) {
	eachWay(t, "", func(t *testing.T, w way) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}}})
		l.rt.Credentials, l.rt.ErrorOn407 = nil, true
		resp, _, err := l.do(l.request(http.MethodGet, w.target("/"), nil))
		require.Nil(t, resp)
		e := requireCause(t, proxyauth.CauseNoCredentials, err)
		require.Equal(t, 407, e.Status)
		require.NotNil(t, e.Header())
	})
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		desc string
		rt   *proxyauth.Transport
		want string // a part of the error, empty for none
	}{
		{"complete", &proxyauth.Transport{Schemes: []proxyauth.Scheme{basic.Scheme{}}}, ""},
		{"no schemes", &proxyauth.Transport{}, "schemes.Default()"},
		{"a scheme is nil", &proxyauth.Transport{Schemes: []proxyauth.Scheme{basic.Scheme{}, nil}}, "Schemes[1]"},
		{"a Base of another kind", &proxyauth.Transport{Base: new(proxyauth.Transport), Schemes: []proxyauth.Scheme{basic.Scheme{}}}, "Transport.Base is a *proxyauth.Transport"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			err := tt.rt.Check()
			require.Equal(t, err, tt.rt.Check())
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			_, got := tt.rt.RoundTrip(&http.Request{URL: &url.URL{Scheme: "http", Host: originHost}})
			require.Equal(t, err, got)
		})
	}
}

// A program that replaces http.DefaultTransport and leaves Base nil would go in
// circles.
func TestCheckOfAReplacedDefault(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	rt := &proxyauth.Transport{Schemes: []proxyauth.Scheme{basic.Scheme{}}}
	http.DefaultTransport = rt
	require.ErrorContains(t, rt.Check(), "http.DefaultTransport has been replaced")
}

func TestProxyChosen(t *testing.T) {
	for _, tt := range []struct {
		desc          string
		proxy         func(*http.Request) (*url.URL, error)
		proxied       string
		reason        string
		env, envValue string
	}{
		{"by a func", http.ProxyURL(&url.URL{Scheme: "http", Host: "Proxy.example.com", User: url.UserPassword(user, password)}), "http://proxy.example.com:80", "", "", ""},
		{"none at all", nil, "", "Base.Proxy is nil", "", ""},
		{"none by a func", http.ProxyURL(nil), "", "Base.Proxy returned none", "", ""},
		{"none by the environment", http.ProxyFromEnvironment, "", "HTTP_PROXY is not set", "HTTP_PROXY", ""},
		{"SOCKS", http.ProxyURL(&url.URL{Scheme: "socks5", Host: "proxy.example.com", User: url.User(user)}), "socks5://proxy.example.com", "left to Base", "", ""},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			if tt.env != "" {
				t.Setenv(tt.env, tt.envValue)
			}
			var got []proxyauth.TraceInfo
			type key struct{}
			rt := &proxyauth.Transport{
				Base: &http.Transport{Proxy: tt.proxy, DialContext: testproxy.NewNetwork().DialContext}, Schemes: []proxyauth.Scheme{basic.Scheme{}},
				Trace: &proxyauth.Trace{ProxyChosen: func(ctx context.Context, info proxyauth.TraceInfo) {
					require.Equal(t, "of the request", ctx.Value(key{}))
					got = append(got, info)
				}},
			}
			ctx := context.WithValue(t.Context(), key{}, "of the request")
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, httpOrigin, nil)
			require.NoError(t, err)
			_, err = rt.RoundTrip(req)
			require.Error(t, err, "there is nobody")
			require.Len(t, got, 1)
			require.Equal(t, tt.proxied, got[0].Proxy)
			require.Contains(t, got[0].Reason, tt.reason)
			require.Equal(t, tt.reason == "", got[0].Reason == "")
			require.Equal(t, originHost, got[0].Target)
		})
	}
}
