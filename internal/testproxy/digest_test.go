package testproxy_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/stretchr/testify/require"
)

// The values of RFC 7616, Section 3.9.2 are those of erratum 4897.
func TestDigest_vectors(t *testing.T) {
	rfc7616 := testproxy.DigestAttempt{
		Username: "Mufasa", Realm: "http-auth@example.org", Password: "Circle of Life",
		Nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", CNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
		URI: "/dir/index.html", QOP: "auth", NC: "00000001", Method: "GET",
	}
	algorithm := func(name string) testproxy.DigestAttempt {
		a := rfc7616
		a.Algorithm = name
		return a
	}
	jason := testproxy.DigestAttempt{
		Algorithm: "SHA-512-256", Username: "Jäsøn Doe", Realm: "api@example.org", Password: "Secret, or not?",
		Nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", CNonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
		URI: "/doe.json", QOP: "auth", NC: "00000001", Method: "GET",
	}
	for _, test := range []struct {
		desc    string
		attempt testproxy.DigestAttempt
		want    string
	}{
		{"RFC 7616, Section 3.9.1, MD5", algorithm("MD5"), "8ca523f5e9506fed4657c9700eebdbec"},
		{
			"RFC 7616, Section 3.9.1, SHA-256", algorithm("SHA-256"),
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
		},
		{"RFC 7616, Section 3.9.2", jason, "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"},
		{"RFC 2617, Section 3.5", testproxy.DigestAttempt{
			Username: "Mufasa", Realm: "testrealm@host.com", Password: "Circle Of Life",
			Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", CNonce: "0a4f113b",
			URI: "/dir/index.html", QOP: "auth", NC: "00000001", Method: "GET",
		}, "6629fae49393a05397450978507c4ef1"},
	} {
		t.Run(test.desc, func(t *testing.T) {
			got, _ := test.attempt.Response()
			require.Equal(t, test.want, got)
		})
	}
	require.Equal(t, "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b", jason.UserHash())
}

// A digestClient is ann, who answers Digest challenges by hand.
type digestClient struct {
	*wire
	attempt testproxy.DigestAttempt
	more    string // parameters of hers
}

func newDigest(t *testing.T, d *testproxy.Digest) (*world, *digestClient) {
	d.Accounts = &testproxy.Accounts{Passwords: map[string]string{"ann": "s3cret", "jörg": "pässword"}}
	w := newWorld(t, testproxy.Config{Auth: []testproxy.Mechanism{d}})
	w.users = d.Accounts
	return w, &digestClient{wire: w.dial(), attempt: testproxy.DigestAttempt{
		Algorithm: "MD5", Username: "ann", Realm: d.Realm, Password: "s3cret",
		CNonce: "c", URI: target, QOP: "auth", NC: "00000001", Method: "GET",
	}}
}

// challenged takes the nonce of the answer.
func (c *digestClient) challenged(resp *http.Response) map[string]string {
	require.Equal(c.t, 407, resp.StatusCode)
	text, ok := strings.CutPrefix(resp.Header.Get("Proxy-Authenticate"), "Digest ")
	require.True(c.t, ok)
	params, err := testproxy.ParseParams(text)
	require.NoError(c.t, err)
	c.attempt.Nonce = params["nonce"]
	return params
}

func (c *digestClient) try(nc string) *http.Response {
	c.attempt.NC = nc
	return c.get(c.attempt.Line(c.more))
}

func TestDigest_challenge(t *testing.T) {
	for _, test := range []struct {
		desc   string
		digest *testproxy.Digest
		want   []string // NONCE stands for the nonce
	}{
		{
			desc:   "default",
			digest: &testproxy.Digest{Realm: "lab"},
			want:   []string{`Digest realm="lab", nonce="NONCE", qop="auth", algorithm=MD5`},
		}, {
			desc:   "squid",
			digest: &testproxy.Digest{Realm: `Lab "q" \ x`, RawRealm: true, NoAlgorithm: true, Stale: testproxy.StaleSquid},
			want:   []string{`Digest realm="Lab "q" \ x", nonce="NONCE", qop="auth", stale=false`},
		}, {
			desc: "everything",
			digest: &testproxy.Digest{
				Realm: `a"b,ö`, Algorithms: []string{"SHA-256-sess", "MD5"}, QOP: "auth, auth-int, x", Opaque: "o",
				Charset: true, Userhash: true, Extra: "domain=\"/\"",
			},
			want: []string{
				`Digest realm="a\"b,ö", nonce="NONCE", qop="auth, auth-int, x", algorithm=SHA-256-sess, opaque="o", charset=UTF-8, userhash=true, domain="/"`,
				`Digest realm="a\"b,ö", nonce="NONCE", qop="auth, auth-int, x", algorithm=MD5, opaque="o", charset=UTF-8, userhash=true, domain="/"`,
			},
		}, {
			desc:   "RFC 2069",
			digest: &testproxy.Digest{Realm: "lab", NoQOP: true, NoAlgorithm: true},
			want:   []string{`Digest realm="lab", nonce="NONCE"`},
		},
	} {
		t.Run(test.desc, func(t *testing.T) {
			lines := test.digest.Challenge(nil)
			_, rest, _ := strings.Cut(lines[0], `nonce="`)
			nonce, _, _ := strings.Cut(rest, `"`)
			require.NotEmpty(t, nonce)
			for i := range lines {
				lines[i] = strings.ReplaceAll(lines[i], nonce, "NONCE")
			}
			require.Equal(t, test.want, lines)
			require.Equal(t, 1, test.digest.Nonces())
		})
	}
}

func TestDigest_verifies(t *testing.T) {
	none := func(*testproxy.DigestAttempt) {}
	for _, test := range []struct {
		desc      string
		digest    *testproxy.Digest
		attempt   func(*testproxy.DigestAttempt)
		more      string
		want      int
		violation string
		failures  int // of ann
	}{
		{desc: "MD5", attempt: none, want: 200},
		{
			desc:    "SHA-256",
			digest:  &testproxy.Digest{Algorithms: []string{"SHA-256", "MD5"}},
			attempt: func(a *testproxy.DigestAttempt) { a.Algorithm = "SHA-256" },
			want:    200,
		}, {
			desc:    "SHA-512-256-sess",
			digest:  &testproxy.Digest{Algorithms: []string{"SHA-512-256-sess"}},
			attempt: func(a *testproxy.DigestAttempt) { a.Algorithm = "SHA-512-256-sess" },
			want:    200,
		}, {
			desc:    "no algorithm, no qop",
			digest:  &testproxy.Digest{NoQOP: true, NoAlgorithm: true},
			attempt: func(a *testproxy.DigestAttempt) { a.Algorithm, a.QOP = "", "" },
			want:    200,
		}, {
			desc:    "auth-int without a body",
			digest:  &testproxy.Digest{QOP: "auth,auth-int"},
			attempt: func(a *testproxy.DigestAttempt) { a.QOP = "auth-int" },
			want:    200,
		}, {
			desc:    "opaque",
			digest:  &testproxy.Digest{Opaque: "o"},
			attempt: none,
			more:    `, opaque="o"`,
			want:    200,
		}, {
			desc:    "a user name in UTF-8",
			attempt: func(a *testproxy.DigestAttempt) { a.Username, a.Password = "jörg", "pässword" },
			want:    200,
		}, {
			desc:    "any uri for squid",
			digest:  &testproxy.Digest{URI: testproxy.DigestURIAny},
			attempt: func(a *testproxy.DigestAttempt) { a.URI = "x" },
			want:    200,
		}, {
			desc:    "a path for Apache",
			digest:  &testproxy.Digest{URI: testproxy.DigestURIApache},
			attempt: func(a *testproxy.DigestAttempt) { a.URI = "/" },
			want:    200,
		}, {
			desc:     "wrong password",
			attempt:  func(a *testproxy.DigestAttempt) { a.Password = "x" },
			want:     407,
			failures: 1,
		}, {
			desc:    "unknown user",
			attempt: func(a *testproxy.DigestAttempt) { a.Username = "nobody" },
			want:    407,
		}, {
			desc:     "another method",
			attempt:  func(a *testproxy.DigestAttempt) { a.Method = "CONNECT" },
			want:     407,
			failures: 1,
		}, {
			desc:      "another uri",
			attempt:   func(a *testproxy.DigestAttempt) { a.URI = "/" },
			want:      400,
			violation: "uri is not the request-target",
		}, {
			desc:      "another realm",
			attempt:   func(a *testproxy.DigestAttempt) { a.Realm = "x" },
			want:      407,
			violation: "realm is not the proxy's",
		}, {
			desc:      "opaque forgotten",
			digest:    &testproxy.Digest{Opaque: "o"},
			attempt:   none,
			want:      407,
			violation: "opaque is not the proxy's",
		}, {
			desc:      "algorithm not offered",
			attempt:   func(a *testproxy.DigestAttempt) { a.Algorithm = "SHA-256" },
			want:      407,
			violation: "algorithm was not offered",
		}, {
			desc:      "algorithm left out",
			attempt:   func(a *testproxy.DigestAttempt) { a.Algorithm = "" },
			want:      407,
			violation: "no algorithm",
		}, {
			desc:      "qop not offered",
			attempt:   func(a *testproxy.DigestAttempt) { a.QOP = "auth-int" },
			want:      407,
			violation: "qop was not offered",
		}, {
			desc:      "qop left out",
			attempt:   func(a *testproxy.DigestAttempt) { a.QOP = "" },
			want:      407,
			violation: "no qop",
		}, {
			desc:      "short nc",
			attempt:   func(a *testproxy.DigestAttempt) { a.NC = "1" },
			want:      407,
			violation: "malformed nc",
		}, {
			desc:      "no cnonce",
			attempt:   func(a *testproxy.DigestAttempt) { a.CNonce = "" },
			want:      407,
			violation: "no cnonce",
		}, {
			desc:      "userhash not offered",
			attempt:   none,
			more:      ", userhash=true",
			want:      407,
			violation: "userhash was not offered, or is not one",
		}, {
			desc:      "quoted userhash",
			attempt:   none,
			more:      `, userhash="false"`,
			want:      407,
			violation: "userhash is quoted",
		}, {
			desc:      "both user names",
			digest:    &testproxy.Digest{Charset: true},
			attempt:   none,
			more:      ", username*=UTF-8''ann",
			want:      407,
			violation: "neither or both of username and username*",
		},
	} {
		t.Run(test.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := test.digest
				if d == nil {
					d = new(testproxy.Digest)
				}
				d.Realm = `l"a,b`
				w, c := newDigest(t, d)
				c.challenged(c.get(""))
				test.attempt(&c.attempt)
				c.more = test.more
				require.Equal(t, test.want, c.try(c.attempt.NC).StatusCode)
				require.Equal(t, test.failures, w.users.Failures("ann"))
				var want []string
				if test.violation != "" {
					want = []string{"c1: GET: Digest: " + test.violation}
				}
				require.Equal(t, want, w.proxy.Violations())
			})
		})
	}
}

func TestDigest_userNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newDigest(t, &testproxy.Digest{Realm: "lab", Charset: true, Userhash: true})
		c.challenged(c.get(""))
		c.attempt.Username, c.attempt.Password = "jörg", "pässword"
		line := c.attempt.Line("")

		extended := strings.Replace(line, `username="jörg"`, "username*=UTF-8''j%C3%B6rg", 1)
		require.Equal(t, 200, c.get(extended).StatusCode)
		hashed := strings.Replace(line, "jörg", c.attempt.UserHash(), 1)
		hashed = strings.TrimSuffix(hashed, "\r\n") + ", userhash=true\r\n"
		require.Equal(t, 200, c.get(hashed).StatusCode)
		require.Equal(t, "jörg", w.proxy.Legs()[2].User)
		require.Equal(t, 407, c.get(strings.Replace(extended, "%C3", "%zz", 1)).StatusCode)
		require.Equal(t, []string{"c1: GET: Digest: malformed username*"}, w.proxy.Violations())
	})
}

func TestDigest_authInt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newDigest(t, &testproxy.Digest{Realm: "lab", QOP: "auth-int", RspAuth: testproxy.RspAuthRight})
		c.challenged(c.get(""))
		c.attempt.QOP, c.attempt.Method, c.attempt.Body = "auth-int", "POST", "payload"
		line := c.attempt.Line("")
		resp := c.do("POST", line+"Content-Length: 7\r\n", "payload")
		require.Equal(t, 200, resp.StatusCode)
		require.EqualValues(t, 7, w.origin.Requests()[0].BodyBytes)

		c.attempt.Body = text(t, resp)
		_, want := c.attempt.Response()
		require.Equal(t, `rspauth="`+want+`", qop=auth-int, nc=00000001, cnonce="c"`,
			resp.Header.Get("Proxy-Authentication-Info"))
		require.Equal(t, 407, c.do("POST", line+"Content-Length: 7\r\n", "changed").StatusCode)
	})
}

func TestDigest_rspauth(t *testing.T) {
	for _, test := range []struct {
		rspauth testproxy.RspAuth
		right   bool
	}{{testproxy.RspAuthRight, true}, {testproxy.RspAuthWrong, false}} {
		synctest.Test(t, func(t *testing.T) {
			_, c := newDigest(t, &testproxy.Digest{Realm: "lab", RspAuth: test.rspauth})
			c.challenged(c.get(""))
			info, err := testproxy.ParseParams(c.try("00000001").Header.Get("Proxy-Authentication-Info"))
			require.NoError(t, err)
			_, want := c.attempt.Response()
			require.Equal(t, test.right, want == info["rspauth"])
			require.Equal(t, "auth", info["qop"])
		})
	}
}

func TestDigest_connect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := newDigest(t, &testproxy.Digest{Realm: "lab", NextNonce: -1})
		c.challenged(c.connect(""))
		c.attempt.Method, c.attempt.URI = "CONNECT", "origin.example.com:80"
		resp := c.connect(c.attempt.Line(""))
		require.Equal(t, 200, resp.StatusCode)
		require.Contains(t, resp.Header.Get("Proxy-Authentication-Info"), "nextnonce=")
		require.Empty(t, w.proxy.Violations())
	})
}
