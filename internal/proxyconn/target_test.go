package proxyconn_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/proxyconn"
)

func TestConnectTarget(t *testing.T) {
	for _, tt := range []struct {
		desc string
		addr string
		want string // empty: it is no host
	}{
		{"name", target, target},
		{"case is kept", "Origin.Example.com:443", "Origin.Example.com:443"},
		{"IPv4", "192.0.2.1:22", "192.0.2.1:22"},
		{"IPv6", "[2001:db8::1]:443", "[2001:db8::1]:443"},
		{"IPv6 with a zone", "[fe80::1%eth0]:443", "[fe80::1]:443"},
		{"underscore", "my_host:443", "my_host:443"},
		{"umlaut", "bücher.example:443", "xn--bcher-kva.example:443"},
		{"empty", "", ""},
		{"no host", ":443", ""},
		{"line break", "a\r\nb:443", ""},
		{"NUL", "a\x00:443", ""},
		{"DEL", "a\x7f:443", ""},
		{"space", "a b:443", ""},
		{"space outside ASCII", "bücher b:443", ""},
		{"path", "a/b:443", ""},
		{"user info", "ann@a:443", ""},
		{"wrong punycode", "xn--\u212a.example.com:443", ""},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			got, err := proxyconn.ConnectTarget(tt.addr)
			require.Equal(t, tt.want, got)
			if tt.want == "" {
				require.Equal(t, proxyconn.ErrInvalidHost, err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, proxyconn.CheckHost(tt.addr))
		})
	}
}

// FuzzConnectTarget is the Host that net/http writes, or an error where net/http has
// one. It fits into a request line.
func FuzzConnectTarget(f *testing.F) {
	for _, addr := range []string{target, "bücher.example:443", "[fe80::1%eth0]:1", "a%b", "xn--\u212a:1", "a b", "a/b", "ｏ：1", "[::1%\u00fc]:1", "[%%]", "", ":", "\r\n"} {
		f.Add(addr)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		var b strings.Builder
		req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: "x"}, Host: addr}
		writeErr := req.WriteProxy(&b)
		got, err := proxyconn.ConnectTarget(addr)
		if err != nil {
			require.Empty(t, got)
			if writeErr == nil && addr != "" && addr[0] != ':' {
				_, host, _ := strings.Cut(b.String(), "Host: ")
				host, _, _ = strings.Cut(host, "\r\n")
				twoZones := strings.HasPrefix(host, "[") && strings.Contains(host, "%")
				require.True(t, twoZones || proxyconn.CheckHost(host) != nil, "net/http sends it")
			}
			return
		}
		require.NoError(t, writeErr)
		require.Contains(t, b.String(), "\r\nHost: "+got+"\r\n")
		require.False(t, strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f }), "%q", got)
		again, err := proxyconn.ConnectTarget(got)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
