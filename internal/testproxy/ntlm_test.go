package testproxy_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/Azure/go-ntlmssp"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// newNTLM starts a proxy that offers mechanism to ann and bob.
func newNTLM(t *testing.T, mechanism *testproxy.NTLM, config testproxy.Config) *world {
	if mechanism.Server == nil {
		mechanism.Server = new(ntlmserver.Server)
	}
	mechanism.Server.Users = map[string]string{"ann": "s3cret", "bob": "hunter2"}
	config.Auth = []testproxy.Mechanism{mechanism}
	return newWorld(t, config)
}

func ntlmLine(message []byte) string {
	return "Proxy-Authorization: NTLM " + base64.StdEncoding.EncodeToString(message) + "\r\n"
}

// negotiate makes the first leg and returns the challenge message.
func (c *wire) negotiate() []byte {
	c.t.Helper()
	message, err := ntlmssp.NewNegotiateMessage("", "")
	require.NoError(c.t, err)
	resp := c.get(ntlmLine(message))
	require.Equal(c.t, http.StatusProxyAuthRequired, resp.StatusCode)
	return challengeOf(c.t, resp)
}

func challengeOf(t *testing.T, resp *http.Response) []byte {
	t.Helper()
	require.Len(t, resp.Header["Proxy-Authenticate"], 1)
	token, ok := strings.CutPrefix(resp.Header.Get("Proxy-Authenticate"), "NTLM ")
	require.True(t, ok, "no challenge message")
	challenge, err := base64.StdEncoding.DecodeString(token)
	require.NoError(t, err)
	return challenge
}

// authenticate makes the second leg.
func (c *wire) authenticate(challenge []byte, user, password string) *http.Response {
	c.t.Helper()
	message, err := ntlmssp.NewAuthenticateMessage(challenge, user, password, nil)
	require.NoError(c.t, err)
	return c.get(ntlmLine(message))
}

func (c *wire) logIn(user, password string) *http.Response {
	c.t.Helper()
	return c.authenticate(c.negotiate(), user, password)
}

func TestNTLM_authenticatesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNTLM(t, &testproxy.NTLM{}, testproxy.Config{})
		c := w.dial()
		require.Equal(t, []string{"NTLM"}, c.get("").Header["Proxy-Authenticate"])
		require.Equal(t, 200, c.logIn("ann", "s3cret").StatusCode)
		require.Equal(t, 200, c.get("").StatusCode)
		require.Equal(t, 407, w.dial().get("").StatusCode, "another connection is nobody's")
		require.Equal(t, "ann", w.proxy.Legs()[3].User)
		require.Empty(t, w.proxy.Violations())
	})
}

func TestNTLM_refusesWithoutViolation(t *testing.T) {
	for _, tt := range []struct{ desc, user, password string }{
		{"wrong password", "ann", "guess"},
		{"unknown user", "eve", "s3cret"},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNTLM(t, &testproxy.NTLM{}, testproxy.Config{})
				c := w.dial()
				resp := c.logIn(tt.user, tt.password)
				require.Equal(t, 407, resp.StatusCode)
				require.Equal(t, []string{"NTLM"}, resp.Header["Proxy-Authenticate"])
				require.Equal(t, 407, c.get("").StatusCode)
				require.Empty(t, w.proxy.Violations())
			})
		})
	}
}

func TestNTLM_violations(t *testing.T) {
	const noChallenge = "c2: GET: ntlmserver: no challenge outstanding on this connection"
	for _, tt := range []struct {
		desc   string
		do     func(t *testing.T, w *world) *http.Response
		status int
		want   string
	}{
		{
			desc: "last message on a connection without a challenge",
			do: func(t *testing.T, w *world) *http.Response {
				challenge := w.dial().negotiate()
				return w.dial().authenticate(challenge, "ann", "s3cret")
			},
			status: 407, want: noChallenge,
		}, {
			desc: "last message on a connection with another challenge",
			do: func(t *testing.T, w *world) *http.Response {
				challenge, other := w.dial().negotiate(), w.dial()
				other.negotiate()
				return other.authenticate(challenge, "ann", "s3cret")
			},
			status: 407, want: "c2: GET: ntlmserver: answers a challenge of another connection",
		}, {
			desc: "request between the messages",
			do: func(t *testing.T, w *world) *http.Response {
				c := w.dial()
				challenge := c.negotiate()
				c.get("")
				require.Equal(t, []string{"c1: NTLM: a request between the messages of a handshake"}, w.proxy.Violations())
				w.proxy.Reset()
				return c.authenticate(challenge, "ann", "s3cret")
			},
			status: 407, want: "c1: GET: ntlmserver: no challenge outstanding on this connection",
		}, {
			desc: "first message twice",
			do: func(t *testing.T, w *world) *http.Response {
				c := w.dial()
				c.negotiate()
				message, err := ntlmssp.NewNegotiateMessage("", "")
				require.NoError(t, err)
				return c.get(ntlmLine(message))
			},
			status: 407, want: "c1: GET: ntlmserver: message out of sequence: NEGOTIATE after the challenge",
		}, {
			desc: "not base64",
			do: func(t *testing.T, w *world) *http.Response {
				return w.dial().get("Proxy-Authorization: NTLM ???\r\n")
			},
			status: 407, want: "c1: GET: NTLM message is not base64",
		}, {
			desc: "handshake on an authenticated connection",
			do: func(t *testing.T, w *world) *http.Response {
				c := w.dial()
				c.logIn("ann", "s3cret")
				message, err := ntlmssp.NewNegotiateMessage("", "")
				require.NoError(t, err)
				return c.get(ntlmLine(message))
			},
			status: 200, want: "c1: GET: Proxy-Authorization on an authenticated connection",
		},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNTLM(t, &testproxy.NTLM{}, testproxy.Config{})
				require.Equal(t, tt.status, tt.do(t, w).StatusCode)
				require.Equal(t, []string{tt.want}, w.proxy.Violations())
			})
		})
	}
}

// A proxy that lets connections be rebound, as Apache does, tells when one
// changes hands.
func TestNTLM_oneIdentityPerConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNTLM(t, &testproxy.NTLM{}, testproxy.Config{Rebind: true})
		c := w.dial()
		require.Equal(t, 200, c.logIn("ann", "s3cret").StatusCode)
		c.logIn("bob", "hunter2")
		require.Contains(t, w.proxy.Violations(), "c1: GET: Proxy-Authorization on an authenticated connection")
		require.Equal(t, "bob", w.proxy.Conns()[0].User)
		require.Contains(t, w.proxy.Violations(), "c1: GET: a connection changes its identity")
	})
}

func TestNTLM_forgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mechanism := &testproxy.NTLM{Requests: 3}
		w := newNTLM(t, mechanism, testproxy.Config{})
		c := w.dial()
		for range 2 {
			require.Equal(t, 200, c.logIn("ann", "s3cret").StatusCode)
			require.Equal(t, 200, c.get("").StatusCode)
			require.Equal(t, 200, c.get("").StatusCode)
			require.Equal(t, 407, c.get("").StatusCode, "the fourth request")
		}
		require.Equal(t, 200, c.logIn("ann", "s3cret").StatusCode)
		other := w.dial()
		require.Equal(t, 200, other.logIn("ann", "s3cret").StatusCode)
		mechanism.Forget()
		require.Equal(t, 407, c.get("").StatusCode)
		require.Equal(t, 407, other.get("").StatusCode)
		require.Equal(t, 200, other.logIn("ann", "s3cret").StatusCode)
		require.Empty(t, w.proxy.Violations())
	})
}

func TestNTLM_verifiesChannelBinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The client of this test knows nothing of channel bindings.
		w := newNTLM(t, &testproxy.NTLM{Server: &ntlmserver.Server{RequireEPA: true}}, testproxy.Config{})
		require.Equal(t, 407, w.dial().logIn("ann", "s3cret").StatusCode)
		require.Equal(t, []string{"c1: GET: ntlmserver: channel binding missing: absent"}, w.proxy.Violations())
	})
}

func TestNTLM_acceptsWithoutChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &ntlmserver.Server{Faults: ntlmserver.Always(ntlmserver.AcceptWithoutChallenge)}
		w := newNTLM(t, &testproxy.NTLM{Server: server}, testproxy.Config{})
		c := w.dial()
		message, err := ntlmssp.NewNegotiateMessage("", "")
		require.NoError(t, err)
		require.Equal(t, 200, c.get(ntlmLine(message)).StatusCode)
		require.Equal(t, 200, c.get("").StatusCode)
	})
}
