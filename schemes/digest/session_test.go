package digest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

func (c *client) requireSent(nonce, nc, cnonce string) {
	c.t.Helper()
	require.Equal(c.t, nonce, c.sent["nonce"])
	require.Equal(c.t, nc, c.sent["nc"])
	require.Equal(c.t, cnonce, c.sent["cnonce"])
	require.Equal(c.t, responseOf(c.sent, "s3cret", c.leg.Method, ""), c.sent["response"])
}

func TestNonceCount(t *testing.T) {
	for _, algorithm := range []string{"MD5", "SHA-256-sess"} {
		t.Run(algorithm, func(t *testing.T) {
			c := newClient(t, offered("n1", "algorithm", algorithm))
			c.get()
			c.requireSent("n1", "00000001", "cn1")
			require.NoError(t, c.accepted())
			c.send(proxyauth.Leg{Method: "CONNECT", Target: "example.com:443"})
			c.requireSent("n1", "00000002", "cn1")
			for range 8 {
				c.get()
			}
			c.requireSent("n1", "0000000a", "cn1")
			require.NoError(t, c.accepted(`nextnonce="n2"`))
			c.get()
			c.requireSent("n2", "00000001", "cn2")
			require.NoError(t, c.accepted(`nextnonce="n2"`))
			c.get()
			c.requireSent("n2", "00000002", "cn2")
		})
	}
}

func TestWrongPassword(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	c.requireNext(proxyauth.Refused, offered("n2", "stale", "false"))
}

func TestWrongPasswordAndNoChallengeLeft(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	c.requireNext(proxyauth.Refused)
}

func TestStaleNonceIsReplaced(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	require.NoError(t, c.accepted())
	for _, nonce := range []string{"n2", "n3"} {
		c.get()
		c.requireNext(proxyauth.Stale, offered(nonce, "stale", "TRUE"))
		c.get()
		require.Equal(t, nonce, c.sent["nonce"])
		require.Equal(t, "00000001", c.sent["nc"])
		require.NoError(t, c.accepted())
	}
}

// How often a nonce may be stale is decided by the Transport.
func TestStaleForEver(t *testing.T) {
	c := newClient(t, offered("n1"))
	for _, nonce := range []string{"n2", "n3", "n4"} {
		c.get()
		c.requireNext(proxyauth.Stale, offered(nonce, "stale", "true"))
	}
	c.get()
	c.requireNext(proxyauth.Refused, offered("n5"))
}

func TestPasswordChangedBehindAStaleNonce(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	require.NoError(t, c.accepted())
	c.get()
	c.requireNext(proxyauth.Stale, offered("n2", "stale", "true"))
	c.get()
	c.requireNext(proxyauth.Refused, offered("n3", "stale", "false"))
}

// Apache, restarted, refuses a nonce that it no longer knows in the same words
// as a wrong password.
func TestForgottenNonce(t *testing.T) {
	for _, info := range []string{"", `nextnonce="n2"`} {
		c := newClient(t, offered("n1"))
		c.get()
		require.NoError(t, c.accepted(info))
		c.get()
		c.requireNext(proxyauth.Broken)
		c.requireNext(proxyauth.Stale, offered("n3"))
		c.get()
		c.requireNext(proxyauth.Refused, offered("n4"))
	}
}

func TestStaleWithTheSameNonceGoesOnCounting(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	c.requireNext(proxyauth.Stale, offered("n1", "stale", "true"))
	c.get()
	c.requireSent("n1", "00000002", "cn1")
}

func TestStaleChallengeMayDiffer(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	c.requireNext(proxyauth.Stale,
		offered("n2", "stale", "true"),
		offered("n3", "algorithm", "SHA-256", "realm", "other", "qop", "auth-int"))
	c.get()
	c.requireSent("n3", "00000001", "cn2")
	require.Equal(t, "other", c.sent["realm"])
}

func TestStaleChallengeMayBeUnusable(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	_, err := c.challenged(offered("n2", "stale", "true", "algorithm", "SHA3-512"))
	require.ErrorIs(t, err, proxyauth.ErrUnsupportedChallenge)
	c.get()
	c.requireSent("n1", "00000002", "cn1")
}

// An authorization is as strong as the algorithm of the challenge that it answers.
func TestStrength(t *testing.T) {
	strength := func(c *client) int {
		authorization, err := c.session.Authorization(t.Context(), proxyauth.Leg{Method: "GET"})
		require.NoError(t, err)
		return authorization.Strength
	}
	var got []int
	for _, algorithm := range []string{"MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256"} {
		got = append(got, strength(newClient(t, offered("n1", "algorithm", algorithm))))
	}
	require.Equal(t, []int{0, 0, 1, 1, 2}, got)
	c := newClient(t, offered("n1", "algorithm", "SHA-256"))
	c.get()
	c.requireNext(proxyauth.Stale, offered("n2", "stale", "true"))
	require.Equal(t, 0, strength(c))
}
