package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// TestMalformedAnswerMayBeARefusal answers the authorizations with a password that was accepted
// with what can't be read. Twice in a row says nothing of the password; after three times one
// request at a time sends it.
func TestMalformedAnswerMayBeARefusal(t *testing.T) {
	t.Parallel()
	for desc, tt := range map[string]struct {
		answer  testproxy.Action
		schemes []string
	}{
		"not HTTP":           {testproxy.Action{Raw: "garbage\r\n\r\n"}, []string{"Basic", "Digest", "NTLM"}},
		"status line":        {testproxy.Action{Raw: "HTTP/1.1 4o7 No\r\n\r\n"}, []string{"Basic", "Digest", "NTLM"}},
		"two messages":       {testproxy.Action{Status: 407, Challenges: []string{"NTLM " + type2, "NTLM " + type2}}, []string{"NTLM"}},
		"not NTLM's message": {testproxy.Action{Status: 407, Challenges: []string{"NTLM AAAA"}}, []string{"NTLM"}},
	} {
		for _, scheme := range tt.schemes {
			eachWay(t, desc+", "+scheme, func(t *testing.T, w way) {
				attempts := 1
				if scheme == "NTLM" {
					attempts = 2 // a handshake that breaks is begun anew, once
				}
				malformed := false
				p := newPeer(t, password, mechanismOf(scheme), func(int) reply {
					if malformed {
						return reply{time.Second, lost, &tt.answer}
					}
					return refuses(0) // unless it is right
				})
				reach := func(int) error { return p.reach(t.Context(), w, originHost) }
				doubted := func() int { return p.rt.Stats()[0].Doubted }
				fail := func(times int) {
					malformed = true
					for range times {
						p.rt.CloseIdleConnections()
						require.Error(t, reach(0))
					}
				}
				require.NoError(t, reach(0))
				fail(2 / attempts)
				malformed = false
				require.Zero(t, doubted())
				require.NoError(t, reach(0))

				fail(3)
				require.Equal(t, 1, doubted())
				p.most = 0
				for _, err := range together(5, reach) {
					require.Error(t, err)
				}
				require.Equal(t, 1, p.most)
				malformed = false
				time.Sleep(maxPause)
				require.NoError(t, reach(0))
				require.Zero(t, doubted())
			})
		}
	}
}
