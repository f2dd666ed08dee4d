package credentials_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/credentials"
)

func TestStatic(t *testing.T) {
	provider := credentials.Static(`CORP\ann`, "s3cret")
	c, err := provider.Credentials(t.Context(), request(t, "http://bob:other@proxy.example.com:3128"))
	requireCredentials(t, `CORP\ann`, "s3cret", c, err)
}

func TestStaticShowsNothing(t *testing.T) {
	provider := credentials.Static("ann", "s3cret")
	holder := struct{ provider any }{provider}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, value := range []any{provider, holder, &holder, credentials.Chain(provider), &credentials.Cached{Source: provider}} {
			text := fmt.Sprintf(verb, value)
			require.NotContains(t, text, "ann")
			require.NotContains(t, text, "s3cret")
			require.NotContains(t, text, fmt.Sprintf("%x", "s3cret"))
		}
	}
}

func TestProxyURL(t *testing.T) {
	tests := []struct {
		desc, proxy    string
		user, password string
		none           bool
	}{
		{desc: "user and password", proxy: "http://ann:s3cret@proxy.example.com:3128", user: "ann", password: "s3cret"},
		{desc: "percent-encoded", proxy: "http://CORP%5Cann:s%40%3A%2F@proxy.example.com:3128", user: `CORP\ann`, password: "s@:/"},
		{desc: "user alone", proxy: "http://ann@proxy.example.com:3128", user: "ann"},
		{desc: "password alone", proxy: "http://:token@proxy.example.com:3128", password: "token"},
		{desc: "empty user info", proxy: "http://:@proxy.example.com:3128", none: true},
		{desc: "no user info", proxy: "http://proxy.example.com:3128", none: true},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			c, err := credentials.ProxyURL().Credentials(t.Context(), request(t, test.proxy))
			if test.none {
				requireNone(t, err, "proxyauth: no credentials: user info of the proxy's URL: the URL has none")
				return
			}
			requireCredentials(t, test.user, test.password, c, err)
		})
	}
}

func TestEnvironment(t *testing.T) {
	type variables map[string]string
	tests := []struct {
		desc             string
		userVar, passVar string
		set              variables
		user, password   string
		none, failure    string
	}{
		{desc: "default names", set: variables{"PROXY_USER": "ann", "PROXY_PASSWORD": "s3cret"}, user: "ann", password: "s3cret"},
		{desc: "names of px", userVar: "PX_USERNAME", passVar: "PX_PASSWORD", set: variables{"PX_USERNAME": `CORP\ann`, "PX_PASSWORD": "s3cret", "PROXY_USER": "bob"}, user: `CORP\ann`, password: "s3cret"},
		{desc: "empty password", set: variables{"PROXY_USER": "ann", "PROXY_PASSWORD": ""}, user: "ann"},
		{desc: "nothing set", none: "environment: PROXY_USER is not set"},
		{desc: "empty user", set: variables{"PROXY_USER": "", "PROXY_PASSWORD": "s3cret"}, none: "PROXY_USER is not set"},
		{desc: "password variable missing", set: variables{"PROXY_USER": "ann"}, failure: "proxyauth: environment: PROXY_USER is set, PROXY_PASSWORD is not set"},
		{desc: "header of a CGI request", userVar: "HTTP_PROXY_USER", passVar: "PW", set: variables{"HTTP_PROXY_USER": "ann", "PW": "s3cret", "REQUEST_METHOD": "GET"}, none: "HTTP_PROXY_USER is not read in a CGI program (REQUEST_METHOD is set)"},
		{desc: "password from a header of a CGI request", passVar: "HTTP_PW", set: variables{"PROXY_USER": "ann", "HTTP_PW": "s3cret", "REQUEST_METHOD": "GET"}, failure: "PROXY_USER is set, HTTP_PW is not read in a CGI program (REQUEST_METHOD is set)"},
		{desc: "HTTP_ outside CGI", userVar: "HTTP_PROXY_USER", passVar: "PW", set: variables{"HTTP_PROXY_USER": "ann", "PW": "s3cret"}, user: "ann", password: "s3cret"},
		{desc: "other names in CGI", set: variables{"PROXY_USER": "ann", "PROXY_PASSWORD": "s3cret", "REQUEST_METHOD": "GET"}, user: "ann", password: "s3cret"},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			for name, value := range test.set {
				t.Setenv(name, value)
			}
			provider := credentials.Environment(test.userVar, test.passVar)
			c, err := provider.Credentials(t.Context(), request(t, "http://proxy.example.com:3128"))
			switch {
			case test.none != "":
				requireNone(t, err, test.none)
			case test.failure != "":
				requireFailure(t, err, test.failure)
			default:
				requireCredentials(t, test.user, test.password, c, err)
			}
		})
	}
}
