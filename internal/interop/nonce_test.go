package interop_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
)

const (
	// usesOfNonce is how often the squid of these tests takes a nonce.
	usesOfNonce = 5
	nonces      = 10
)

// squid announces the next nonce in the answer to a forwarded request.
func TestForwardedRequestsTakeNextNonce(t *testing.T) {
	t.Parallel()
	proxy, origin := squidWithShortNonces(t), newOrigin(t)
	client := newClient(t, origin, proxy, proxy.URL, ann)
	for range usesOfNonce * nonces {
		resp, _ := get(t, client, origin.url)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	proxy.Stop()
	require.Len(t, proxy.Challenged(t), 1)
}

// A body that can't be sent again must get through a change of nonces.
func TestUnreplayableBodiesOutliveNonces(t *testing.T) {
	t.Parallel()
	proxy, origin := squidWithShortNonces(t), newOrigin(t)
	client := newClient(t, origin, proxy, proxy.URL, ann)
	for range usesOfNonce * nonces {
		for _, body := range bodies {
			requireArrives(t, client, origin.url, body.request(t, origin.url), body.desc)
		}
	}
	require.EqualValues(t, usesOfNonce*nonces*len(bodies), origin.requests.Load())
}

// squid's answer to a CONNECT names no next nonce: it has to be learned from a
// challenge that says stale.
func TestTunnelsOutliveNonces(t *testing.T) {
	t.Parallel()
	proxy, origin := squidWithShortNonces(t), newOrigin(t)
	base := bareTransport(t, origin, proxy, proxy.URL)
	// A new tunnel for each request.
	base.DisableKeepAlives = true
	client := clientOf(t, newTransport(t, base, ann), base)
	for range usesOfNonce * nonces {
		resp, _ := get(t, client, origin.tlsURL)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	proxy.Stop()
	challenged := len(proxy.Challenged(t))
	// squid 5.7 takes a nonce once more than configured.
	require.Greater(t, challenged, nonces/2, "the nonces outlive the test")
	require.LessOrEqual(t, challenged, nonces+1)
}

// Apache's nonces expire with time.
func TestExpiredNonces(t *testing.T) {
	t.Parallel()
	// Seconds: long enough that a busy machine answers a challenge in time.
	const lifetime = 6
	proxy := interop.Apache{Auth: interop.ApacheDigest(lifetime, ann)}.Start(t)
	origin := newOrigin(t)
	client := newClient(t, origin, proxy, proxy.URL, ann)
	for requests := 0; len(proxy.Challenged(t)) < 2; requests++ {
		require.NoError(t, t.Context().Err())
		resp, _ := get(t, client, origin.url)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	requireEachChallengeAnswered(t, proxy.Legs(t))
}

func requireEachChallengeAnswered(t *testing.T, legs []interop.Leg) {
	t.Helper()
	for i := range len(legs) - 1 {
		if legs[i].Status == http.StatusProxyAuthRequired {
			require.Equal(t, http.StatusOK, legs[i+1].Status, "leg %d of %d", i+1, len(legs))
		}
	}
}

func squidWithShortNonces(t *testing.T) *interop.Proxy {
	return interop.Squid{Auth: []interop.SquidAuth{interop.SquidDigest(usesOfNonce, ann)}}.Start(t)
}
