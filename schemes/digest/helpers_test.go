package digest_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/httpfield"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

type params = map[string]string

func exchange(user, password string, challenges ...params) proxyauth.Exchange {
	ex := proxyauth.Exchange{Credentials: proxyauth.Credentials{
		Username: user,
		Password: proxyauth.NewSecret(password),
	}}
	for _, p := range challenges {
		ex.Challenges = append(ex.Challenges, proxyauth.Challenge{Scheme: "Digest", Params: p})
	}
	return ex
}

func offered(nonce string, more ...string) params {
	p := params{"realm": "lab", "nonce": nonce, "qop": "auth"}
	for i := 0; i < len(more); i += 2 {
		p[more[i]] = more[i+1]
	}
	return p
}

// client is a session and what it has sent last.
type client struct {
	t       *testing.T
	session proxyauth.Session
	sent    params
	leg     proxyauth.Leg
}

// newClient is ann's. Her cnonces are cn1, cn2 and so on.
func newClient(t *testing.T, challenge params) *client {
	t.Helper()
	n := 0
	cnonce := func() string { n++; return fmt.Sprint("cn", n) }
	s, err := digest.Scheme{}.NewSessionWithCnonce(exchange("ann", "s3cret", challenge), cnonce)
	require.NoError(t, err)
	return &client{t: t, session: s}
}

func (c *client) get() {
	c.t.Helper()
	c.send(proxyauth.Leg{Method: "GET", Target: "http://example.com/"})
}

func (c *client) send(leg proxyauth.Leg) {
	c.t.Helper()
	authorization, err := c.session.Authorization(c.t.Context(), leg)
	require.NoError(c.t, err)
	c.sent, c.leg = fields(c.t, authorization.Value), leg
}

// challenged answers with a 407.
func (c *client) challenged(challenges ...params) (proxyauth.Next, error) {
	ex := exchange("", "", challenges...)
	next, err := c.session.(proxyauth.Continuer).Continue(c.t.Context(), ex.Challenges)
	scanned.Error(c.t.Name(), err)
	return next, err
}

// requireNext answers with a 407 and requires the outcome.
func (c *client) requireNext(want proxyauth.Next, challenges ...params) {
	c.t.Helper()
	got, err := c.challenged(challenges...)
	require.NoError(c.t, err)
	require.Equal(c.t, want, got)
}

// accepted answers with resp, 200 by default, and Proxy-Authentication-Info.
func (c *client) accepted(info ...string) error { return c.answered(response("", info...)) }

func (c *client) answered(resp *http.Response) error {
	err := c.session.(proxyauth.Verifier).Verify(resp)
	scanned.Error(c.t.Name(), err)
	return err
}

func response(body string, info ...string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Proxy-Authentication-Info": info},
		Body:       io.NopCloser(strings.NewReader(body)),
	}
}

// rspauth is what an honest proxy answers the last request with.
func (c *client) rspauth(qop, body string) string {
	sent := merged(c.sent, "qop", qop)
	return responseOf(sent, "s3cret", "", body)
}

func merged(p params, more ...string) params {
	q := params{}
	maps.Copy(q, p)
	for i := 0; i < len(more); i += 2 {
		q[more[i]] = more[i+1]
	}
	return q
}

func fields(t testing.TB, authorization string) params {
	t.Helper()
	list, ok := strings.CutPrefix(authorization, "Digest ")
	require.True(t, ok)
	p, err := httpfield.Params([]string{list})
	require.NoError(t, err)
	return p
}

// responseOf computes the response that belongs to the parameters of an
// authorization, word for word as RFC 7616, Section 3.4.1, has it.
func responseOf(p params, password, method, body string) string {
	algorithm, sess := strings.CutSuffix(strings.ToUpper(p["algorithm"]), "-SESS")
	h := hashOf(algorithm)
	a1 := p["username"] + ":" + p["realm"] + ":" + password
	if sess {
		a1 = h(a1) + ":" + p["nonce"] + ":" + p["cnonce"]
	}
	a2 := method + ":" + p["uri"]
	if p["qop"] == "auth-int" {
		a2 += ":" + h(body)
	}
	middle := p["nonce"]
	if p["qop"] != "" {
		middle += ":" + p["nc"] + ":" + p["cnonce"] + ":" + p["qop"]
	}
	return h(h(a1) + ":" + middle + ":" + h(a2))
}

func hashOf(algorithm string) func(string) string {
	return func(s string) string {
		switch algorithm {
		case "SHA-256":
			return fmt.Sprintf("%x", sha256.Sum256([]byte(s)))
		case "SHA-512-256":
			return fmt.Sprintf("%x", sha512.Sum512_256([]byte(s)))
		default:
			return fmt.Sprintf("%x", md5.Sum([]byte(s)))
		}
	}
}

func body(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(text))), nil
	}
}

func decodeExtended(t testing.TB, value string) string {
	t.Helper()
	encoded, ok := strings.CutPrefix(value, "UTF-8''")
	require.True(t, ok)
	text, err := url.PathUnescape(encoded)
	require.NoError(t, err)
	return text
}
