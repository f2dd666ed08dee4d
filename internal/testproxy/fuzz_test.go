package testproxy_test

import (
	"strings"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

func TestParseParams(t *testing.T) {
	for _, test := range []struct {
		desc string
		text string
		want map[string]string // nil if it is malformed
	}{
		{"empty", "", map[string]string{}},
		{"tokens and strings", `a=b, C="d, \"e\" \\"`, map[string]string{"a": "b", "c": `d, "e" \`}},
		{"empty elements and blanks", ",, a = b ,\t, c=\"\" ,", map[string]string{"a": "b", "c": ""}},
		{"extended name", "username*=UTF-8''j%C3%B6rg", map[string]string{"username*": "UTF-8''j%C3%B6rg"}},
		{"no value", "a=", nil},
		{"no equals sign", "a", nil},
		{"no comma", `a="b" c=d`, nil},
		{"open string", `a="b`, nil},
		{"open escape", `a="b\`, nil},
		{"twice", "a=b, A=c", nil},
		{"not a token", "a=b/c", nil},
		{"no name", "=b", nil},
	} {
		t.Run(test.desc, func(t *testing.T) {
			got, err := testproxy.ParseParams(test.text)
			require.Equal(t, test.want == nil, err != nil)
			if test.want != nil {
				require.Equal(t, test.want, got)
			}
		})
	}
}

func TestParseParams_bounded(t *testing.T) {
	var b strings.Builder
	for i := range testproxy.MaxParams + 1 {
		b.WriteString(strings.Repeat("a", i+1) + "=b,")
	}
	_, err := testproxy.ParseParams(b.String())
	require.Error(t, err)
}

func FuzzParseParams_boundedAndWithoutPanic(f *testing.F) {
	f.Add(`username="ann", realm="l\"a,b", nonce="n", uri="http://o/", nc=00000001, qop=auth`)
	f.Add(`username*=UTF-8''j%C3%B6rg, ,a = b`)
	f.Add(`a="b\`)
	f.Fuzz(func(t *testing.T, s string) {
		params, err := testproxy.ParseParams(s)
		if err == nil && len(params) > testproxy.MaxParams {
			t.Errorf("%d parameters", len(params))
		}
	})
}

func FuzzReadRequest_readsNoMoreThanThereIs(f *testing.F) {
	f.Add("GET http://o/ HTTP/1.1\r\nHost: o\r\n\r\n")
	f.Add("POST http://o/ HTTP/1.1\r\nHost: o\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("POST http://o/ HTTP/1.1\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n")
	f.Add("CONNECT o:443 HTTP/1.1\r\n\r\n\x16\x03\x01")
	f.Fuzz(func(t *testing.T, s string) {
		req, read, err := testproxy.ReadRequest(s)
		if err == nil && (req == nil || read > len(s)) {
			t.Errorf("read %d of %d bytes", read, len(s))
		}
	})
}
