package digest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// The example of RFC 7616, Section 3.9.1; those of RFC 2617 and RFC 2069 differ
// from it in the realm, the nonce, the cnonce and the password.
const (
	realm7616, realm2617   = "http-auth@example.org", "testrealm@host.com"
	nonce7616, nonce2617   = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "dcd98b7102dd2f0e8b11d0f600bfb0c093"
	cnonce7616, cnonce2617 = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "0a4f113b"
)

func TestResponseVectors(t *testing.T) {
	rfc7616 := func(algorithm, qop string) params {
		return params{"realm": realm7616, "nonce": nonce7616, "algorithm": algorithm, "qop": qop}
	}
	rfc2617 := func(qop string) params {
		return params{"realm": realm2617, "nonce": nonce2617, "qop": qop}
	}
	// Where no RFC is named, the value comes from Python's hashlib.
	for _, tc := range []struct {
		desc             string
		challenge        params
		password, cnonce string
		want             string
	}{
		{"RFC 7616, Section 3.9.1, MD5", rfc7616("MD5", "auth, auth-int"), "Circle of Life", cnonce7616, "8ca523f5e9506fed4657c9700eebdbec"},
		{"RFC 7616, Section 3.9.1, SHA-256", rfc7616("SHA-256", "auth, auth-int"), "Circle of Life", cnonce7616, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{"SHA-512-256", rfc7616("SHA-512-256", "auth"), "Circle of Life", cnonce7616, "430d05014cecc49cab6fbe03176d41a1da86cbfe24a16580e22aaad928d960d0"},
		{"MD5-sess", rfc7616("MD5-sess", "auth"), "Circle of Life", cnonce7616, "e783283f46242139c486a698fec7211d"},
		{"SHA-256-sess", rfc7616("SHA-256-sess", "auth"), "Circle of Life", cnonce7616, "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7"},
		{"SHA-512-256-sess", rfc7616("SHA-512-256-sess", "auth"), "Circle of Life", cnonce7616, "3f2a34f923c38b0fb26dce2fdfc2ce326c23cecf86fbb1444f3e51fbbc2cb92e"},
		{"MD5-sess without a qop", rfc7616("MD5-sess", ""), "Circle of Life", cnonce7616, "37a7f42db2090a3fcac4e26e747d4fc8"},
		{"SHA-256-sess without a qop", rfc7616("SHA-256-sess", ""), "Circle of Life", cnonce7616, "30bc0742357e535c85094121d22cf826b794be0667e19537beb7b28f2251c274"},
		{"RFC 2617, Section 3.5", rfc2617("auth,auth-int"), "Circle Of Life", cnonce2617, "6629fae49393a05397450978507c4ef1"},
		{"the same without a qop", rfc2617(""), "Circle Of Life", cnonce2617, "670fd8c2df070c60b045671b8b24ff02"},
		{"RFC 2069, Section 2.4, erratum 749", rfc2617(""), "CircleOfLife", "", "1949323746fe6a43ef61f9606e7febea"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			s, err := digest.Scheme{}.NewSessionWithCnonce(
				exchange("Mufasa", tc.password, tc.challenge), func() string { return tc.cnonce })
			require.NoError(t, err)
			got, err := s.Authorization(t.Context(), proxyauth.Leg{Method: "GET", Target: "/dir/index.html"})
			require.NoError(t, err)
			require.Equal(t, tc.want, fields(t, got.Value)["response"])
		})
	}
}

// RFC 7616, Section 3.9.2, with the values of erratum 4897.
func TestUserhashVector(t *testing.T) {
	s, err := digest.Scheme{}.NewSessionWithCnonce(
		exchange("J\u00e4s\u00f8n Doe", "Secret, or not?", params{
			"realm": "api@example.org", "qop": "auth", "algorithm": "SHA-512-256",
			"nonce":  "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
			"opaque": "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS",
			"stale":  "false", "charset": "UTF-8", "userhash": "true",
		}), func() string { return "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v" })
	require.NoError(t, err)
	got, err := s.Authorization(t.Context(), proxyauth.Leg{Method: "GET", Target: "/doe.json"})
	require.NoError(t, err)
	require.Equal(t, `Digest username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b", userhash=true`+
		`, realm="api@example.org", nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK"`+
		`, algorithm=SHA-512-256, opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"`+
		`, cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v", qop=auth, nc=00000001, uri="/doe.json"`+
		`, response="3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"`, got.Value)
}

func TestAuthorizationForm(t *testing.T) {
	const tail = `, uri="example.com:443", response="*"`
	for _, tc := range []struct {
		desc, user string
		challenge  params
		want       string
	}{
		{
			"squid", "ann", offered("n"),
			`Digest username="ann", realm="lab", nonce="n", cnonce="c", qop=auth, nc=00000001` + tail,
		},
		{
			"RFC 2069", "ann", params{"realm": "lab", "nonce": "n"},
			`Digest username="ann", realm="lab", nonce="n"` + tail,
		},
		{
			"an empty qop", "ann", offered("n", "qop", " , "),
			`Digest username="ann", realm="lab", nonce="n"` + tail,
		},
		{
			"-sess without a qop needs a cnonce", "ann", params{"realm": "lab", "nonce": "n", "algorithm": "md5-Sess"},
			`Digest username="ann", realm="lab", nonce="n", algorithm=md5-Sess, cnonce="c"` + tail,
		},
		{
			"unknown qops beside auth, any case", "ann", offered("n", "qop", "auth-conf ,AUTH-INT,\tAuth"),
			`Digest username="ann", realm="lab", nonce="n", cnonce="c", qop=auth, nc=00000001` + tail,
		},
		{
			"auth-int alone", "ann", offered("n", "qop", "auth-int, auth-conf"),
			`Digest username="ann", realm="lab", nonce="n", cnonce="c", qop=auth-int, nc=00000001` + tail,
		},
		{
			"an empty opaque and realm", "ann", offered("n", "opaque", "", "realm", ""),
			`Digest username="ann", realm="", nonce="n", opaque="", cnonce="c", qop=auth, nc=00000001` + tail,
		},
		{
			"everything escaped", `CORP\ann"`, offered(`n"`, "opaque", `o\`, "realm", "Lab \"q\",\t\\ \u00e9 \xe9"),
			`Digest username="CORP\\ann\"", realm="Lab \"q\",` + "\t" + `\\ ` + "\u00e9 \xe9" +
				`", nonce="n\"", opaque="o\\", cnonce="c", qop=auth, nc=00000001` + tail,
		},
		{
			"a user name outside ASCII, as it is", "j\u00f6rg", offered("n"),
			"Digest username=\"j\u00f6rg\"" + `, realm="lab", nonce="n", cnonce="c", qop=auth, nc=00000001` + tail,
		},
		{
			"the same for a proxy that asks for UTF-8", "j\u00f6rg 'x'%", offered("n", "charset", "utf-8"),
			`Digest username*=UTF-8''j%C3%B6rg%20%27x%27%25, realm="lab", nonce="n", cnonce="c", qop=auth, nc=00000001` + tail,
		},
		{
			"ASCII for a proxy that asks for UTF-8", "ann", offered("n", "charset", "UTF-8"),
			`Digest username="ann", realm="lab", nonce="n", cnonce="c", qop=auth, nc=00000001` + tail,
		},
		{
			"Latin-1 for a proxy that asks for UTF-8", "j\xf6rg", offered("n", "charset", "UTF-8"),
			"Digest username=\"j\xf6rg\"" + `, realm="lab", nonce="n", cnonce="c", qop=auth, nc=00000001` + tail,
		},
		{
			"userhash turned down by the proxy", "ann", offered("n", "userhash", "false"),
			`Digest username="ann", realm="lab", nonce="n", cnonce="c", qop=auth, nc=00000001` + tail,
		},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			s, err := digest.Scheme{}.NewSessionWithCnonce(
				exchange(tc.user, "s3cret", tc.challenge), func() string { return "c" })
			require.NoError(t, err)
			got, err := s.Authorization(t.Context(), proxyauth.Leg{Method: "CONNECT", Target: "example.com:443"})
			require.NoError(t, err)
			response := fields(t, got.Value)["response"]
			require.Equal(t, tc.want, strings.Replace(got.Value, response, "*", 1))

			sent := merged(fields(t, got.Value), "username", tc.user)
			require.Equal(t, responseOf(sent, "s3cret", "CONNECT", ""), response)
		})
	}
}

func TestStrongestChallenge(t *testing.T) {
	md5, md5sess := offered("md5", "algorithm", "MD5"), offered("md5-sess", "algorithm", "MD5-sess")
	sha, sha512 := offered("sha", "algorithm", "sha-256"), offered("sha512", "algorithm", "SHA-512-256")
	none, odd := offered("none"), offered("odd", "algorithm", "SHA3-512")
	for _, tc := range []struct {
		desc       string
		least      digest.Algorithm
		challenges []params
		want       string // the nonce
	}{
		{"no algorithm is MD5", digest.MD5, []params{none}, "none"},
		{"the strongest is last", digest.MD5, []params{md5, none, sha, sha512}, "sha512"},
		{"the strongest is first", digest.MD5, []params{sha512, sha, md5}, "sha512"},
		{"the first of equals", digest.MD5, []params{md5sess, md5}, "md5-sess"},
		{"an unknown one is passed over", digest.MD5, []params{odd, md5, odd}, "md5"},
		{"a broken one is passed over", digest.MD5, []params{{"algorithm": "SHA-256", "realm": "x"}, md5}, "md5"},
		{"one with an unknown qop is passed over", digest.MD5, []params{merged(sha, "qop", "auth-conf"), md5}, "md5"},
		{"at least SHA-256", digest.SHA256, []params{md5, sha}, "sha"},
		{"at least SHA-256, and more", digest.SHA256, []params{sha512, sha}, "sha512"},
		{"at least SHA-512-256, not offered", digest.SHA512_256, []params{sha, md5}, ""},
		{"an unknown one alone", digest.MD5, []params{odd}, ""},
		{"an algorithm with an empty name", digest.MD5, []params{offered("n", "algorithm", "-sess")}, ""},
		{"an unknown qop alone", digest.MD5, []params{offered("n", "qop", "auth-conf")}, ""},
		{"no parameters", digest.MD5, []params{nil}, ""},
		{"no nonce", digest.MD5, []params{{"realm": "lab"}}, ""},
		{"no realm", digest.MD5, []params{{"nonce": "n"}}, ""},
		{"a line end in the realm", digest.MD5, []params{offered("n", "realm", "a\r\nb")}, ""},
		{"NUL in the nonce", digest.MD5, []params{offered("n\x00")}, ""},
		{"DEL in the opaque", digest.MD5, []params{offered("n", "opaque", "\x7f")}, ""},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			s, err := digest.Scheme{MinAlgorithm: tc.least}.NewSession(t.Context(), exchange("ann", "x", tc.challenges...))
			if tc.want == "" {
				require.ErrorIs(t, err, proxyauth.ErrUnsupportedChallenge)
				require.Nil(t, s)
				return
			}
			require.NoError(t, err)
			got, err := s.Authorization(t.Context(), proxyauth.Leg{})
			require.NoError(t, err)
			require.Equal(t, tc.want, fields(t, got.Value)["nonce"])
		})
	}
}

// MD5 panics where only approved functions are allowed.
func TestFIPSOnlyModeRefusesMD5(t *testing.T) {
	const mode = "fips140=only"
	if !strings.Contains(os.Getenv("GODEBUG"), mode) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPSOnlyModeRefusesMD5$")
		cmd.Env = append(os.Environ(), "GODEBUG="+mode)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	md5, sha := offered("md5"), offered("sha", "algorithm", "SHA-256")
	for _, challenge := range []params{md5, offered("md5", "algorithm", "MD5"), offered("md5", "algorithm", "MD5-sess")} {
		_, err := digest.Scheme{}.NewSession(t.Context(), exchange("ann", "x", challenge))
		require.ErrorIs(t, err, proxyauth.ErrUnsupportedChallenge)
		require.ErrorContains(t, err, "MD5, which FIPS 140-only mode forbids")
	}
	s, err := digest.Scheme{}.NewSession(t.Context(), exchange("ann", "x", md5, sha))
	require.NoError(t, err)
	got, err := s.Authorization(t.Context(), proxyauth.Leg{})
	require.NoError(t, err)
	require.Equal(t, "sha", fields(t, got.Value)["nonce"])
}

func TestNewSessionRefuses(t *testing.T) {
	_, err := digest.Scheme{}.NewSession(t.Context(), exchange("ann", "x"))
	require.ErrorIs(t, err, proxyauth.ErrChallengeRequired)
	for _, user := range []string{"ann\r\n", "a\x00nn", "ann\t", "\x7f"} {
		_, err = digest.Scheme{}.NewSession(t.Context(), exchange(user, "x", offered("n")))
		require.ErrorContains(t, err, "control character")
	}
	_, err = digest.Scheme{}.NewSession(t.Context(), exchange("ann", "s3cret\n", offered("n")))
	require.ErrorContains(t, err, "control character")
}

func TestNames(t *testing.T) {
	require.Equal(t, "Digest", digest.Scheme{}.Name())
	require.Equal(t, "MD5", digest.MD5.String())
	require.Equal(t, "SHA-256", digest.SHA256.String())
	require.Equal(t, "SHA-512-256", digest.SHA512_256.String())
	require.Equal(t, "unknown", digest.Algorithm(3).String())
}

func TestAuthorizationRefusesControls(t *testing.T) {
	c := newClient(t, offered("n"))
	for _, leg := range []proxyauth.Leg{{Method: "GET\r\n"}, {Method: "GET", Target: "/\nX: y"}} {
		_, err := c.session.Authorization(t.Context(), leg)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestCnonceIsRandom(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	seen := map[string]bool{}
	for range 100 {
		s, err := digest.Scheme{}.NewSession(t.Context(), exchange("ann", "x", offered("n")))
		require.NoError(t, err)
		got, err := s.Authorization(t.Context(), proxyauth.Leg{})
		require.NoError(t, err)
		cnonce := fields(t, got.Value)["cnonce"]
		require.GreaterOrEqual(t, len(cnonce), 26)
		seen[cnonce] = true
	}
	require.Len(t, seen, 100)
}

func TestSessionDoesNotPrintItsSecrets(t *testing.T) {
	c := newClient(t, offered("n"))
	c.get()
	ha1 := hashOf("MD5")("ann:lab:s3cret")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text := fmt.Sprintf(verb+verb+verb, c.session, struct{ s proxyauth.Session }{c.session},
			struct{ S proxyauth.Session }{c.session})
		for _, secret := range []string{"s3cret", "ann", ha1, c.sent["response"]} {
			require.NotContains(t, text, secret)
			require.NotContains(t, text, fmt.Sprintf("%x", secret))
		}
	}
}

func TestWarmAuthorizationAllocations(t *testing.T) {
	for _, algorithm := range []string{"MD5", "SHA-256", "SHA-512-256", "SHA-256-sess"} {
		t.Run(algorithm, func(t *testing.T) {
			c := newClient(t, offered("n", "algorithm", algorithm, "opaque", "o"))
			c.get()
			ctx, leg := context.Background(), c.leg
			got := testing.AllocsPerRun(100, func() { c.session.Authorization(ctx, leg) })
			require.LessOrEqual(t, got, 1.0)
		})
	}
}

func BenchmarkAuthorization(b *testing.B) {
	for _, algorithm := range []string{"MD5", "SHA-256", "SHA-512-256"} {
		b.Run(algorithm, func(b *testing.B) {
			s, err := digest.Scheme{}.NewSession(b.Context(), exchange("ann", "x", offered("n", "algorithm", algorithm)))
			require.NoError(b, err)
			leg := proxyauth.Leg{Method: "GET", Target: "http://example.com/"}
			b.ReportAllocs()
			for b.Loop() {
				s.Authorization(b.Context(), leg)
			}
		})
	}
}

func ExampleScheme() {
	scheme := digest.Scheme{MinAlgorithm: digest.SHA256}
	_, err := scheme.NewSession(context.Background(), proxyauth.Exchange{
		Credentials: proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret")},
		Challenges: []proxyauth.Challenge{{
			Scheme: "Digest",
			Params: map[string]string{"realm": "Lab", "nonce": "7ypf", "algorithm": "MD5"},
		}},
	})
	fmt.Println(err)

	// Output:
	// proxyauth: forbidden: digest.Scheme.MinAlgorithm permits no weaker algorithm (proxyauth: unsupported challenge)
}
