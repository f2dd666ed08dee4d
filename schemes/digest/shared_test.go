package digest_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/httpfield"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// next begins a session after c was accepted, here or on another connection.
func (c *client) next(here bool, challenges ...params) (*client, error) {
	ex := exchange("ann", "s3cret", challenges...)
	ex.Accepted, ex.AcceptedHere = c.session, here
	s, err := digest.Scheme{}.NewSession(c.t.Context(), ex)
	return &client{t: c.t, session: s}, err
}

func (c *client) requireNextSession(here bool, nonce, nc string) *client {
	c.t.Helper()
	next, err := c.next(here)
	require.NoError(c.t, err)
	next.get()
	require.Equal(c.t, []string{nonce, nc}, []string{next.sent["nonce"], next.sent["nc"]})
	return next
}

func TestNonceIsShared(t *testing.T) {
	first := newClient(t, offered("n1"))
	first.get()
	_, err := first.next(false)
	require.ErrorIs(t, err, proxyauth.ErrChallengeRequired, "it may be wrong")
	require.NoError(t, first.accepted())
	second := first.requireNextSession(false, "n1", "00000002")
	third := second.requireNextSession(true, "n1", "00000003")
	require.NoError(t, second.accepted(`nextnonce="n2"`))
	fourth := third.requireNextSession(false, "n2", "00000001")
	require.NoError(t, fourth.accepted())

	// The same nonce in a challenge, perhaps to somebody else.
	fifth, err := first.next(false, offered("n2"))
	require.NoError(t, err)
	fifth.get()
	require.Equal(t, "00000002", fifth.sent["nc"])
	require.Equal(t, fourth.sent["cnonce"], fifth.sent["cnonce"])
}

func TestNonceIsNotSharedWithOthers(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	require.NoError(t, c.accepted())
	for desc, ex := range map[string]proxyauth.Exchange{
		"another user":     exchange("bob", "s3cret"),
		"another password": exchange("ann", "hunter2"),
	} {
		ex.Accepted = c.session
		_, err := digest.Scheme{}.NewSession(t.Context(), ex)
		require.ErrorIs(t, err, proxyauth.ErrChallengeRequired, desc)
	}
	ex := exchange("ann", "s3cret")
	ex.Accepted = c.session
	_, err := digest.Scheme{MinAlgorithm: digest.SHA256}.NewSession(t.Context(), ex)
	require.ErrorIs(t, err, proxyauth.ErrChallengeRequired, "another policy")
}

// A nonce that is stale is replaced for all, by the one that was accepted.
func TestStaleNonceIsReplacedForAll(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	require.NoError(t, c.accepted())
	a, b := c.requireNextSession(false, "n1", "00000002"), c.requireNextSession(false, "n1", "00000003")
	a.requireNext(proxyauth.Stale, offered("n2", "stale", "true"))
	_, err := c.next(false)
	require.ErrorIs(t, err, proxyauth.ErrChallengeRequired)
	a.get()
	require.NoError(t, a.accepted())
	b.requireNext(proxyauth.Stale, offered("n3", "stale", "true"))
	b.get()
	require.Equal(t, "n3", b.sent["nonce"])
	c.requireNextSession(false, "n2", "00000002")
}

// After two young nonces were stale, each connection keeps its own for ten minutes.
func TestStrictProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, offered("n0"))
		c.get()
		require.NoError(t, c.accepted())
		for i := range 2 {
			c = c.requireNextSession(false, fmt.Sprint("n", i), "00000002")
			c.requireNext(proxyauth.Stale, offered(fmt.Sprint("n", i+1), "stale", "true"))
			c.get()
			require.NoError(t, c.accepted())
		}
		other, err := c.next(false, offered("m1"))
		require.NoError(t, err)
		other.get()
		require.NoError(t, other.accepted())

		for n := range 9 {
			_, err := c.next(false)
			require.ErrorIs(t, err, proxyauth.ErrChallengeRequired, "minute %d", n)
			c = c.requireNextSession(true, "n2", fmt.Sprintf("%08x", n+2))
			require.NoError(t, c.accepted())
			other = other.requireNextSession(true, "m1", fmt.Sprintf("%08x", n+2))
			require.NoError(t, other.accepted())
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Minute)
		_, err = c.next(false)
		require.NoError(t, err)
	})
}

// When one young nonce was stale, requests keep the nonces that they got in its place, as
// long as there are such: if the proxy is strict, a shared one would be stale for all
// of them again.
func TestProxyMayBeStrict(t *testing.T) {
	connect := proxyauth.Leg{Method: http.MethodConnect, Target: "origin.example.com:443"}
	synctest.Test(t, func(t *testing.T) {
		first := newClient(t, offered("n0"))
		first.send(connect)
		require.NoError(t, first.accepted())
		a, b := first.requireNextSession(false, "n0", "00000002"), first.requireNextSession(false, "n0", "00000003")
		for i, c := range []*client{a, b} {
			c.requireNext(proxyauth.Stale, offered(fmt.Sprint("n", i+1), "stale", "true"))
			c.send(connect)
			require.NoError(t, c.accepted())
		}
		a.requireNextSession(true, "n1", "00000002") // its connection's
		first.requireNextSession(false, "n2", "00000002")
		first.requireNextSession(false, "n1", "00000003")
		first.requireNextSession(false, "n2", "00000003") // by now they have to be shared
		time.Sleep(time.Minute)
		a.requireNextSession(true, "n2", "00000004")
	})
}

// Old nonces may be stale: that is not strict.
func TestOldNoncesMayBeStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, offered("n0"))
		c.get()
		require.NoError(t, c.accepted())
		for i := range 5 {
			time.Sleep(time.Minute)
			c.get()
			c.requireNext(proxyauth.Stale, offered(fmt.Sprint("n", i+1), "stale", "true"))
			c.get()
			require.NoError(t, c.accepted())
		}
		c.requireNextSession(false, "n5", "00000002")
	})
}

// Sessions that share a nonce use each count once.
func TestSharedNonceInParallel(t *testing.T) {
	first := newClient(t, offered("n1"))
	first.get()
	require.NoError(t, first.accepted())
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 20 {
				c, err := first.next(i%2 == 0)
				if err != nil {
					return
				}
				a, err := c.session.Authorization(t.Context(), proxyauth.Leg{Method: "GET"})
				if err != nil {
					return
				}
				c.session.(proxyauth.Verifier).Verify(response("", fmt.Sprintf(`nextnonce="n%d"`, i%3)))
				sent, _ := httpfield.Params([]string{a.Value[len("Digest "):]})
				mu.Lock()
				seen[sent["nonce"]+" "+sent["nc"]] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Len(t, seen, 1000)
}

func TestNextSessionAllocations(t *testing.T) {
	c := newClient(t, offered("n1"))
	c.get()
	require.NoError(t, c.accepted())
	ex := exchange("ann", "s3cret")
	ex.Accepted = c.session
	var scheme proxyauth.Scheme = digest.Scheme{}
	got := testing.AllocsPerRun(100, func() {
		s, err := scheme.NewSession(t.Context(), ex)
		if err == nil {
			s.Authorization(t.Context(), c.leg)
		}
	})
	require.LessOrEqual(t, got, 2.0)
}

// A strict proxy's nonces serve one tunnel at a time each.
func TestStrictNoncesServeOneTunnelAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		challenge := func(nonce string) []proxyauth.Challenge {
			return []proxyauth.Challenge{{Scheme: "Digest", Params: map[string]string{"realm": "lab", "nonce": nonce, "qop": "auth", "stale": "true"}}}
		}
		connect := func(s proxyauth.Session) string {
			a, err := s.Authorization(t.Context(), proxyauth.Leg{Method: http.MethodConnect, Target: "origin.example.com:443"})
			require.NoError(t, err)
			params, err := httpfield.Params([]string{a.Value[len("Digest "):]})
			require.NoError(t, err)
			return params["nonce"] + " " + params["nc"]
		}
		session := func(ex proxyauth.Exchange) (proxyauth.Session, error) {
			ex.Credentials = proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret")}
			return digest.Scheme{}.NewSession(t.Context(), ex)
		}
		first, err := session(proxyauth.Exchange{Challenges: challenge("a")})
		require.NoError(t, err)
		for _, next := range []string{"b", "c"} { // two young nonces are stale: the proxy is strict
			connect(first)
			_, err := first.(proxyauth.Continuer).Continue(t.Context(), challenge(next))
			require.NoError(t, err)
		}
		require.Equal(t, "c 00000001", connect(first))
		_, err = session(proxyauth.Exchange{Accepted: first})
		require.ErrorIs(t, err, proxyauth.ErrChallengeRequired, "while it is in use")

		require.NoError(t, first.(proxyauth.Verifier).Verify(response("", "")))
		second, err := session(proxyauth.Exchange{Accepted: first})
		require.NoError(t, err)
		require.Equal(t, "c 00000002", connect(second))
		_, err = session(proxyauth.Exchange{Accepted: first})
		require.ErrorIs(t, err, proxyauth.ErrChallengeRequired)
	})
}

// Of nonces that are no longer in use their counts are kept, and not the header fields that
// they came in.
func TestNoncesTakeLittleMemory(t *testing.T) {
	const long = 64 << 10
	for desc, info := range map[string]string{
		"long nonces":             `nextnonce="%d` + strings.Repeat("n", long) + `"`,
		"nonces in a long header": `nextnonce="%d", x="` + strings.Repeat("x", long) + `"`,
	} {
		c := newClient(t, offered("n"))
		inUse := func() int {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int(m.HeapAlloc)
		}
		before := inUse()
		for i := range 50 {
			c.get()
			require.NoError(t, c.accepted(fmt.Sprintf(info, i)))
		}
		require.Less(t, inUse()-before, 10*long, desc)
		runtime.KeepAlive(c)
	}
}
