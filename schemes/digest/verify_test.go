package digest_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// Computed with Python's hashlib, over the example of RFC 7616, Section 3.9.1.
func TestRspauthVectors(t *testing.T) {
	for algorithm, rspauth := range (params{
		"MD5":         "9b712497bc9f91499fbcca1dfc5f09a5",
		"SHA-256":     "86d3b25618d41854ca5039a5d7e53ff6355d5134a9b1fb088a78ac3c462195a0",
		"SHA-512-256": "c8f9593a4f49b95ce2c483cc3222ecd360a5c6ec52ca24a530b0aac18478de8c",
	}) {
		challenge := params{"realm": realm7616, "nonce": nonce7616, "qop": "auth", "algorithm": algorithm}
		s, err := digest.Scheme{}.NewSessionWithCnonce(
			exchange("Mufasa", "Circle of Life", challenge), func() string { return cnonce7616 })
		require.NoError(t, err)
		c := &client{t: t, session: s}
		c.send(proxyauth.Leg{Method: "GET", Target: "/dir/index.html"})
		require.NoError(t, c.accepted(`rspauth="`+rspauth+`"`))
		wrong := "0" + rspauth[1:]
		require.ErrorIs(t, c.accepted(`rspauth="`+wrong+`"`), proxyauth.ErrNotVerified)
	}
}

func TestVerify(t *testing.T) {
	for _, tc := range []struct {
		desc string
		info string // with * for the right rspauth
		ok   bool
	}{
		{"nothing", "", true},
		{"malformed", `rspauth="`, true},
		{"right", `rspauth="*"`, true},
		{"right, in full", `rspauth="*", qop=auth, nc=00000001, cnonce="cn1"`, true},
		{"right, quoted otherwise", `qop="AUTH", rspauth=*, nc="00000001", cnonce=cn1`, true},
		{"wrong", `rspauth="0*"`, false},
		{"empty", `rspauth=""`, false},
		{"of another nc", `rspauth="*", nc=00000002`, false},
		{"of another cnonce", `rspauth="*", cnonce="cn2"`, false},
		{"nc alone", `nc=00000002`, false},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			for _, method := range []string{"GET", "CONNECT"} {
				c := newClient(t, offered("n"))
				c.send(proxyauth.Leg{Method: method, Target: "example.com:443"})
				info := strings.Replace(tc.info, "*", c.rspauth("auth", ""), 1)
				err := c.accepted(info)
				if tc.ok {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, proxyauth.ErrNotVerified)
				}
			}
		})
	}
}

// Whoever leaves out what the proxy has sent before may not know the password. It makes
// no difference that it has given a nonce of its own.
func TestProxyIsHeldToRspauth(t *testing.T) {
	connect := proxyauth.Leg{Method: "CONNECT", Target: "example.com:443"}
	get := proxyauth.Leg{Method: "GET", Target: "http://example.com/"}
	for _, tc := range []struct {
		desc          string
		first, second proxyauth.Leg
		status        int
		ok            bool
	}{
		{"forwarded", get, get, 200, false},
		{"tunnel", connect, connect, 200, false},
		{"redirect", get, get, 302, false},
		{"error page", get, get, 503, true},
		{"no tunnel so far", get, connect, 200, true},
		{"nothing forwarded so far", connect, get, 200, true},
	} {
		for _, qop := range []string{"auth", "auth-int"} {
			t.Run(tc.desc+", "+qop, func(t *testing.T) {
				c := newClient(t, offered("n1", "qop", qop))
				finish := func(resp *http.Response) error {
					if err := c.answered(resp); err != nil {
						return err
					}
					_, err := io.ReadAll(resp.Body)
					return err
				}
				c.send(tc.first)
				require.NoError(t, finish(response("", `rspauth="`+c.rspauth(qop, "")+`", nextnonce="n2"`)))
				c.send(tc.second)
				c.requireNext(proxyauth.Stale, offered("n3", "qop", qop, "stale", "true"))
				c.send(tc.second)
				resp := response("")
				resp.StatusCode = tc.status
				if err := finish(resp); tc.ok {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, proxyauth.ErrNotVerified)
				}
			})
		}
	}
}

func TestVerifyInUpperCase(t *testing.T) {
	c := newClient(t, offered("n", "algorithm", "SHA-256"))
	c.get()
	require.NoError(t, c.accepted("rspauth="+strings.ToUpper(c.rspauth("auth", ""))))
}

func TestVerifyRFC2069(t *testing.T) {
	c := newClient(t, params{"realm": "lab", "nonce": "n"})
	c.get()
	require.NoError(t, c.accepted("rspauth="+c.rspauth("", "")))
	require.ErrorIs(t, c.accepted("rspauth=0"), proxyauth.ErrNotVerified)
}

func TestUnverifiedAnswerTeachesNothing(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	require.ErrorIs(t, c.accepted(`rspauth="0", nextnonce="n2"`), proxyauth.ErrNotVerified)
	c.get()
	c.requireSent("n1", "00000002", "cn1")
	c.requireNext(proxyauth.Refused, offered("n3"))
}

func TestVerifyBeforeAnyRequest(t *testing.T) {
	c := newClient(t, offered("n"))
	require.ErrorIs(t, c.accepted("rspauth=0"), proxyauth.ErrNotVerified)
	require.NoError(t, c.accepted())
}

func TestVerifyAuthInt(t *testing.T) {
	for _, tc := range []struct {
		desc, info string // with * for the right rspauth
		trailer    string
		ok         bool
	}{
		{"nothing", "", "", true},
		{"right", `rspauth="*", qop=auth-int`, "", true},
		{"right, in the trailer", "", `rspauth="*", qop=auth-int, nc=00000001`, true},
		{"wrong", `rspauth="0*"`, "", false},
		{"wrong, in the trailer", "", `rspauth="0*"`, false},
		{"the header counts first", `rspauth="0*"`, `rspauth="*"`, false},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			c := newClient(t, offered("n", "qop", "auth-int"))
			c.get()
			right := c.rspauth("auth-int", "hello")
			fill := func(s string) string { return strings.Replace(s, "*", right, 1) }
			resp := response("hello", fill(tc.info))
			require.NoError(t, c.answered(resp))

			c.get() // the session may move on before the body is read
			resp.Trailer = http.Header{"Proxy-Authentication-Info": {fill(tc.trailer)}}
			got, err := io.ReadAll(iotest.OneByteReader(resp.Body))
			require.Equal(t, "hello", string(got))
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, proxyauth.ErrNotVerified)
			_, err = resp.Body.Read(make([]byte, 1))
			require.ErrorIs(t, err, proxyauth.ErrNotVerified, "the verdict must last")
		})
	}
}

func TestVerifyAuthIntOfAnAlteredBody(t *testing.T) {
	c := newClient(t, offered("n", "qop", "auth-int"))
	c.get()
	resp := response("hell0", "rspauth="+c.rspauth("auth-int", "hello"))
	require.NoError(t, c.answered(resp))
	_, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, proxyauth.ErrNotVerified)
	require.NoError(t, resp.Body.Close())
}

func TestVerifyAuthIntKeepsTheBodysError(t *testing.T) {
	boom := errors.New("boom")
	closed := 0
	c := newClient(t, offered("n", "qop", "auth-int"))
	c.get()
	resp := response("", "rspauth=0")
	resp.Body = countingCloser{errReader{boom}, &closed}
	require.NoError(t, c.answered(resp))
	_, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, boom)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 1, closed)
}

// The proxy may answer with another qop than that of the request.
func TestVerifyQopOfTheAnswer(t *testing.T) {
	c := newClient(t, offered("n"))
	c.get()
	resp := response("hello", "qop=auth-int, rspauth="+c.rspauth("auth-int", "hello"))
	require.NoError(t, c.answered(resp))
	_, err := io.ReadAll(resp.Body)
	require.NoError(t, err)

	c = newClient(t, offered("n", "qop", "auth-int"))
	c.get()
	require.NoError(t, c.accepted("qop=auth, rspauth="+c.rspauth("auth", "")))
}

func TestVerifyAuthIntWithoutABodyToRead(t *testing.T) {
	for _, tc := range []struct {
		desc, method string
		change       func(*http.Response)
		checked      bool
	}{
		{"HEAD", "HEAD", func(r *http.Response) { r.Body = http.NoBody }, true},
		{"no body", "GET", func(r *http.Response) { r.Body = nil }, true},
		{"a tunnel", "CONNECT", func(r *http.Response) {}, true},
		{"a tunnel refused", "CONNECT", func(r *http.Response) { r.StatusCode = 503 }, false},
		{"another protocol", "GET", func(r *http.Response) { r.StatusCode = 101 }, false},
		{"decompressed", "GET", func(r *http.Response) { r.Uncompressed = true }, false},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			c := newClient(t, offered("n", "qop", "auth-int"))
			c.send(proxyauth.Leg{Method: tc.method, Target: "example.com:443"})
			answer := func(rspauth string) error {
				resp := response("", "rspauth="+rspauth)
				tc.change(resp)
				before := resp.Body
				err := c.answered(resp)
				if resp.Uncompressed {
					got, err := io.ReadAll(resp.Body)
					require.Empty(t, got)
					return err
				}
				require.Equal(t, before, resp.Body)
				return err
			}
			require.NoError(t, answer(c.rspauth("auth-int", "")))
			if err := answer("0"); tc.checked {
				require.ErrorIs(t, err, proxyauth.ErrNotVerified)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// A body that can't be hashed is no way around the proof.
func TestProxyIsHeldToRspauthWithoutABodyToHash(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		change func(*http.Response)
	}{
		{"decompressed", func(r *http.Response) { r.Uncompressed = true }},
		{"another protocol", func(r *http.Response) { r.StatusCode = http.StatusSwitchingProtocols }},
	} {
		for _, asked := range []string{"auth", "auth-int"} {
			t.Run(tc.desc+", "+asked, func(t *testing.T) {
				c := newClient(t, offered("n", "qop", asked))
				answer := func(info string) error {
					c.get()
					resp := response("", info)
					tc.change(resp)
					if err := c.answered(resp); err != nil {
						return err
					}
					_, err := io.ReadAll(resp.Body)
					return err
				}
				require.NoError(t, answer("qop=auth-int, rspauth=0"))
				require.NoError(t, answer("qop=auth-int"), "nothing is proved so far")
				require.ErrorIs(t, answer("qop=auth-int, nc=00000009"), proxyauth.ErrNotVerified)

				c.get()
				require.NoError(t, c.accepted("qop=auth, rspauth="+c.rspauth("auth", "")))
				require.ErrorIs(t, answer("qop=auth-int"), proxyauth.ErrNotVerified)
				if err := answer("qop=auth-int, rspauth=0"); asked == "auth" {
					require.ErrorIs(t, err, proxyauth.ErrNotVerified)
				} else {
					require.NoError(t, err)
				}
			})
		}
	}
}

func TestNextnonceInTheTrailer(t *testing.T) {
	c := newClient(t, offered("n1", "qop", "auth-int"))
	c.get()
	resp := response("")
	require.NoError(t, c.answered(resp))
	resp.Trailer = http.Header{"Proxy-Authentication-Info": {`nextnonce="n2"`}}
	_, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	c.get()
	c.requireSent("n2", "00000001", "cn2")
	c.requireNext(proxyauth.Stale, offered("n3"))
}

// Over a real connection the trailer is there when the body ends.
func TestTrailerOfARealResponse(t *testing.T) {
	c := newClient(t, offered("n", "qop", "auth-int"))
	c.get()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello")
		w.(http.Flusher).Flush() // or there is no trailer
		w.Header().Set(http.TrailerPrefix+"Proxy-Authentication-Info", "rspauth="+c.rspauth("auth-int", "hello!"))
	}))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, c.answered(resp))
	got, err := io.ReadAll(resp.Body)
	require.Equal(t, "hello", string(got))
	require.ErrorIs(t, err, proxyauth.ErrNotVerified)
}
