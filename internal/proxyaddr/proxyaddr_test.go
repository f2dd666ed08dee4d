package proxyaddr_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/proxyaddr"
)

func TestSitesOfOneProxyAreOne(t *testing.T) {
	for want, spellings := range map[string][]string{
		"proxy.example.com:80":     {"proxy.example.com", "Proxy.Example.COM:80", "proxy.example.com.", "PROXY.example.com.:80", "proxy.example.com:0080"},
		"[::1]:3128":               {"[::1]:3128", "[0:0::1]:3128"},
		"127.0.0.1:3128":           {"127.0.0.1:3128", "[::ffff:127.0.0.1]:3128"},
		"xn--bcher-kva.example:80": {"bücher.example", "xn--bcher-kva.example"},
	} {
		for _, host := range spellings {
			require.Equal(t, want, proxyaddr.Site(proxyaddr.Canonical("http", host)), host)
		}
	}
	require.Equal(t, "https://proxy.example.com:443", proxyaddr.Canonical("https", "Proxy.example.com").String())
}

func TestMisread(t *testing.T) {
	u, err := url.Parse("http://http://ann:p#w@proxy:3128")
	require.NoError(t, err)
	require.True(t, proxyaddr.IsMisread(u))
	require.False(t, proxyaddr.IsMisread(&url.URL{Scheme: "http", Host: "http:80"}))
	for _, text := range []string{"http://ann:1/w@proxy:3128", "http://ann:1#w@proxy:3128", "http://ann:1?w@proxy:3128"} {
		u, err := url.Parse(text)
		require.NoError(t, err)
		require.True(t, proxyaddr.IsMisread(u), text)
	}
}

func TestEnvironment(t *testing.T) {
	for value, want := range map[string]string{
		"":                            "HTTPS_PROXY is not set",
		"http://proxy:3128":           "NO_PROXY",
		"proxy:3128":                  "NO_PROXY",
		"http://ann:p%25w@proxy:3128": "NO_PROXY",
		"http://ann:p%w@proxy:3128":   "no URL",
	} {
		t.Setenv("HTTPS_PROXY", value)
		t.Setenv("https_proxy", "")
		t.Setenv("HTTP_PROXY", "")
		t.Setenv("http_proxy", "")
		require.Equal(t, "HTTPS_PROXY", proxyaddr.Variable("https"))
		why := proxyaddr.WhyNone("https")
		require.Contains(t, why, want, value)
		require.NotContains(t, why, "ann")
		if err := proxyaddr.CheckEnvironment(); want == "no URL" {
			require.ErrorContains(t, err, "HTTPS_PROXY")
			require.NotContains(t, err.Error(), "ann")
		} else {
			require.NoError(t, err, value)
		}
	}
	t.Setenv("http_proxy", "proxy:3128")
	require.Equal(t, "http_proxy", proxyaddr.Variable("http"))
	t.Setenv("REQUEST_METHOD", "GET")
	require.Contains(t, proxyaddr.WhyNone("http"), "CGI")
}
