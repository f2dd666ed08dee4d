package proxyauth_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// FuzzAllowHostsAllowsNobodyElse checks that a list with one entry allows the
// entry itself or, if it begins with a dot, the names below it, and nothing that
// merely looks like it.
func FuzzAllowHostsAllowsNobodyElse(f *testing.F) {
	for _, entry := range []string{"proxy.example.com", "Proxy.Example.COM:3128", ".example.com", "example.com", ".", "", "::1", "[::1]", "[::1]:3128", "*"} {
		f.Add(entry, "proxy.example.com", uint16(3128))
		f.Add(entry, "evilexample.com", uint16(80))
		f.Add(entry, "::1", uint16(3128))
	}
	f.Fuzz(func(t *testing.T, entry, host string, port uint16) {
		u := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}
		if u.Hostname() != host || host == "" {
			t.Skip() // not the host of a URL
		}
		lower, name, hostPort := strings.ToLower(entry), strings.ToLower(host), strings.ToLower(u.Host)
		if strings.HasSuffix(lower, "]") {
			lower = strings.Trim(lower, "[]")
		}
		want := lower == name || lower == hostPort
		if domain, ok := strings.CutPrefix(lower, "."); ok {
			above, ok := strings.CutSuffix(name, domain)
			want = ok && strings.HasSuffix(above, ".")
		}
		require.Equal(t, want, proxyauth.AllowHosts(entry)(t.Context(), u))
		require.Equal(t, want || name == "other.example.org", proxyauth.AllowHosts("other.example.org", entry)(t.Context(), u))
		require.False(t, proxyauth.AllowHosts()(t.Context(), u))
	})
}

// FuzzSecretFormats prints a secret with every verb, and flags, on its own and
// inside other values.
func FuzzSecretFormats(f *testing.F) {
	for _, verb := range "vsqxXdboOUceEfFgGtTpwz%" {
		f.Add("s3cret", "", uint8(0), uint8(0), verb)
		f.Add("pass\x00wörd\"", "+# -0", uint8(40), uint8(3), verb)
	}
	f.Fuzz(func(t *testing.T, text, flags string, width, precision uint8, verb rune) {
		// A mark that nothing else prints, found however it is spelled.
		const mark = "Zq7#Jx"
		text = mark + text + mark
		format := "%" + strings.Map(func(r rune) rune {
			if strings.ContainsRune("+#- 0", r) {
				return r
			}
			return -1
		}, flags)
		if width > 0 {
			format += strconv.Itoa(int(width))
		}
		if precision > 0 {
			format += "." + strconv.Itoa(int(precision))
		}
		format += string(verb)

		s := proxyauth.NewSecret(text)
		c := proxyauth.Credentials{Username: user, Password: s}
		h := hidden{credentials: c, secret: s, pointer: &s, list: []proxyauth.Secret{s}, any: s}
		for _, v := range []any{s, &s, c, &c, []any{s, &c}, h, &h, map[string]any{"key": h}, fmt.Errorf(format, s)} {
			got := fmt.Sprintf(format, v)
			for _, spelled := range []string{mark[:3], fmt.Sprintf("%x", mark[:3]), fmt.Sprintf("%X", mark[:3]), fmt.Sprintf("% x", mark[:3]),
				fmt.Sprint([]byte(mark[:3]))[1:7], base64.StdEncoding.EncodeToString([]byte(mark))[:8]} {
				require.NotContains(t, got, spelled, "%s of a %T", format, v)
			}
		}
		if !strings.ContainsRune("Tpw%", verb) && strings.IndexByte("+#- 0123456789.*[", byte(verb)) < 0 {
			require.Contains(t, fmt.Sprintf(format, s), "[redacted]", format)
		}
	})
}

// FuzzErrorIsOneLine puts what a proxy has sent into an Error.
func FuzzErrorIsOneLine(f *testing.F) {
	f.Add("Basic", "origin.example.com:443", "bad\r\nline")
	f.Add("\x1b[2J", "a\x00b", strings.Repeat("ü", 2000))
	f.Fuzz(func(t *testing.T, scheme, target, text string) {
		e := &proxyauth.Error{
			Cause: proxyauth.CauseNoCommonScheme, Op: "CONNECT", Proxy: "http://proxy.example.com:3128", Target: target,
			Status: http.StatusProxyAuthRequired, Offered: []string{scheme}, Err: fmt.Errorf("%s", text),
			Tried: []*proxyauth.SchemeError{{Scheme: scheme, Err: fmt.Errorf("%s", text)}},
		}
		for _, got := range []string{e.Error(), e.Hint(), fmt.Sprintf("%#v", e)} {
			require.False(t, strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }), "%q", got)
			require.Less(t, len(got), 8<<10)
		}
	})
}
