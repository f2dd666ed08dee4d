package proxyauth_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

func header(lines ...string) http.Header {
	return http.Header{"Proxy-Authenticate": lines}
}

func TestParseChallenges(t *testing.T) {
	h := header(`Negotiate, NTLM TlRMTVNTUAAC, Digest realm="lab"`, `NONCE="n", Basic realm="Lab "B""`)
	h["Www-Authenticate"] = []string{`Bearer realm="origin"`}
	got, err := proxyauth.ParseChallenges(h)
	require.Equal(t, []proxyauth.Challenge{
		{Scheme: "Negotiate"},
		{Scheme: "NTLM", Token68: "TlRMTVNTUAAC"},
		{Scheme: "Digest", Params: map[string]string{"realm": "lab", "nonce": "n"}},
		{Scheme: "Basic"},
	}, got)
	require.EqualError(t, err, "proxyauth: malformed field, line 2, byte 30: stray quote")
}

func TestParseChallengesWithoutTheField(t *testing.T) {
	got, err := proxyauth.ParseChallenges(http.Header{"Www-Authenticate": {`Basic realm="x"`}})
	require.NoError(t, err)
	require.Nil(t, got)
}

func TestParseChallengesErrorQuotesNothing(t *testing.T) {
	_, err := proxyauth.ParseChallenges(header(
		`s3cret@ s3cret, Digest s3cret s3cret, realm="s3cret" s3cret, nonce=s3"cret, nonce="s3cret`))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3")
}

func TestParseAuthInfo(t *testing.T) {
	for _, tc := range []struct {
		desc  string
		h     http.Header
		want  map[string]string
		fault string
	}{
		{desc: "no field"},
		{desc: "another field", h: http.Header{"Authentication-Info": {"nextnonce=n"}}},
		{
			desc: "Digest's",
			h:    http.Header{"Proxy-Authentication-Info": {`rspauth="6629", QOP=auth`, "nc=00000001"}},
			want: map[string]string{"rspauth": "6629", "qop": "auth", "nc": "00000001"},
		},
		{
			desc:  "malformed",
			h:     http.Header{"Proxy-Authentication-Info": {`nextnonce=n, rspauth="6629`}},
			want:  map[string]string{"nextnonce": "n"},
			fault: "proxyauth: malformed field, line 1, byte 22: quoted string without an end",
		},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			got, err := proxyauth.ParseAuthInfo(tc.h)
			require.Equal(t, tc.want, got)
			if tc.fault == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tc.fault)
		})
	}
}

func ExampleParseChallenges() {
	h := http.Header{"Proxy-Authenticate": {
		`Negotiate, Digest realm="Lab, 2nd floor", nonce="7ypf", qop="auth"`,
		`Basic realm="Lab "B""`, // the quotes inside should be escaped
	}}
	challenges, err := proxyauth.ParseChallenges(h)
	for _, c := range challenges {
		fmt.Printf("%s, realm %q\n", c.Scheme, c.Params["realm"])
	}
	fmt.Println(err)

	// Output:
	// Negotiate, realm ""
	// Digest, realm "Lab, 2nd floor"
	// Basic, realm ""
	// proxyauth: malformed field, line 2, byte 19: stray quote
}

// A Session's Verify reads what a proxy proves with it.
func ExampleParseAuthInfo() {
	h := http.Header{"Proxy-Authentication-Info": {`rspauth="6629fae49393a05397450978507c4ef1", qop=auth, nextnonce="7ypf"`}}
	params, err := proxyauth.ParseAuthInfo(h)
	fmt.Println(params["nextnonce"], params["qop"], err)
	// Output: 7ypf auth <nil>
}
