package e2e_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// crowd makes requests from many goroutines at once, and returns what failed.
func (l *lab) crowd(goroutines, requests int) error {
	return errors.Join(together(goroutines, func(int) (err error) {
		for range requests {
			err = errors.Join(err, fetch(l.t.Context(), l.rt, originHost))
		}
		return err
	})...)
}

// conns counts the connections that the proxy has accepted since the last Reset.
func (l *lab) conns() int { return len(l.proxy.Conns()) }

// TestNTLMCrowd holds the forwarded requests of many goroutines to hardly more connections
// than goroutines, cold and warm: no connection, and no handshake, is made in vain.
func TestNTLMCrowd(t *testing.T) {
	t.Parallel()
	const goroutines, most = 64, 70
	requests := sample.Size(8, 20)
	synctest.Test(t, func(t *testing.T) {
		m := &testproxy.NTLM{Server: &ntlmserver.Server{RequireMIC: true}}
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m}})
		require.NoError(t, l.crowd(goroutines, requests))
		legs, conns := l.tally(), l.conns()
		t.Logf("%d connections, %v", conns, legs)
		require.LessOrEqual(t, conns, most)
		require.LessOrEqual(t, legs["GET NTLM 200"], most, "handshakes that end")
		require.LessOrEqual(t, legs["GET NTLM 407"], most, "handshakes that begin")
		require.Equal(t, goroutines*requests, legs["GET NTLM 200"]+legs["GET 200"])

		require.NoError(t, l.crowd(goroutines, requests))
		require.LessOrEqual(t, l.conns(), most)
	})
}

// TestDigestStampede has a crowd at a proxy of which nothing is known: one asks for all.
func TestDigestStampede(t *testing.T) {
	t.Parallel()
	const requests, most = 1000, 64
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}}})
		l.base.MaxConnsPerHost = most
		require.NoError(t, l.crowd(requests, 1))
		t.Logf("%d connections", l.conns())
		require.LessOrEqual(t, l.conns(), most)
		require.Equal(t, map[string]int{"GET 407": 1, "GET Digest 200": requests}, l.tally())
	})
}

// TestStrictDigestCrowd has a proxy that forgets a nonce whose counts come out of order.
// Once that has shown, there is hardly a challenge more.
func TestStrictDigestCrowd(t *testing.T) {
	t.Parallel()
	const goroutines, requests, percent = 64, 40, 2
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{
			&testproxy.Digest{Realm: "lab", NoAlgorithm: true, NonceCount: testproxy.NonceCountSquid, Stale: testproxy.StaleSquid},
		}})
		require.NoError(t, l.crowd(goroutines, requests))
		l.tally()
		require.NoError(t, l.crowd(goroutines, requests))
		legs := l.tally()
		t.Logf("%v", legs)
		require.Equal(t, goroutines*requests, legs[http.MethodGet+" Digest 200"])
		require.LessOrEqual(t, legs["GET 407"]+legs["GET Digest 407"], goroutines*requests*percent/100)
	})
}
