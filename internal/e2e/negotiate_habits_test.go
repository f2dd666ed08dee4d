package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A surprise is a proxy that goes on after a ticket, which could have been the
// last token.
type surprise struct {
	desc    string
	faults  spnegoserver.Faults
	ntlm    bool // takes NTLM
	tickets bool // takes tickets
	poison  bool
	legs    map[string]legTable
}

func (s surprise) mechanism(r *realm) spnegoserver.Mechanism {
	m := spnegoserver.Mechanism{Poison: s.poison, Server: &spnegoserver.Server{Faults: spnegoserver.Always(s.faults)}}
	switch {
	case s.ntlm && s.tickets:
		m.Server = withNTLM(r, s.faults)
	case s.ntlm:
		m.Server = withNTLM(nil, s.faults)
	}
	return m
}

// surprises are followed on the same connection, but for NTLM in place of the ticket,
// which a forwarded request shows on another one.
func surprises() []surprise {
	forwarded := legTable{
		[]string{"GET /a -> 407", "open Negotiate -> 407", "open Negotiate -> 407", "= GET /a Negotiate -> 200"},
		[]string{"open Negotiate -> 407", "= GET /c Negotiate -> 200"},
	}
	ntlm := map[string]legTable{
		"forwarded": forwarded,
		"tunnelled": {
			[]string{"CONNECT -> 407", "= CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 200"},
			ntlmInsideLegs["tunnelled"].newConn,
		},
	}
	onceMore := map[string]legTable{"forwarded": {
		[]string{"GET /a -> 407", "open Negotiate -> 407", "= GET /a Negotiate -> 200"},
		forwarded.newConn,
	}, "tunnelled": ntlmInsideLegs["tunnelled"]}
	return []surprise{
		{desc: "selects NTLM", faults: spnegoserver.Faults{SelectNTLM: true}, ntlm: true, tickets: true, legs: ntlm},
		{desc: "selects NTLM, squid", faults: spnegoserver.Faults{SelectNTLM: true}, ntlm: true, tickets: true, poison: true, legs: ntlm},
		{desc: "selects NTLM without SPNEGO", faults: spnegoserver.Faults{SelectNTLM: true, RawNTLM: true}, ntlm: true, tickets: true, legs: ntlm},
		{desc: "knows NTLM alone", ntlm: true, legs: ntlm},
		{desc: "refuses the ticket for a reason", faults: spnegoserver.Faults{KRBError: 41}, ntlm: true, tickets: true, legs: ntlm},
		{
			desc: "rejects the opening token", faults: spnegoserver.Faults{Reject: true}, ntlm: true, tickets: true,
			legs: map[string]legTable{
				"forwarded": {
					[]string{
						"GET /a -> 407", "open Negotiate -> 407", "= open Negotiate -> 407",
						"open Negotiate -> 407", "= GET /a Negotiate -> 200",
					},
					forwarded.newConn,
				},
				"tunnelled": {
					[]string{
						"CONNECT -> 407", "= CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 407",
						"CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 200",
					},
					[]string{"CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 200"},
				},
			},
		},
		{desc: "wants an integrity code", faults: spnegoserver.Faults{RequestMIC: true}, tickets: true, legs: onceMore},
		{desc: "wants an integrity code, and has NTLM", faults: spnegoserver.Faults{RequestMIC: true}, ntlm: true, tickets: true, legs: onceMore},
		{desc: "asks for one more leg", faults: spnegoserver.Faults{ExtraLegs: 1}, tickets: true, legs: onceMore},
		{
			desc: "asks for two more legs", faults: spnegoserver.Faults{ExtraLegs: 2}, tickets: true,
			legs: map[string]legTable{
				"forwarded": {
					[]string{
						"GET /a -> 407", "open Negotiate -> 407", "= open Negotiate -> 407", "= GET /a Negotiate -> 200",
					},
					[]string{"open Negotiate -> 407", "= open Negotiate -> 407", "= GET /c Negotiate -> 200"},
				},
				"tunnelled": {
					[]string{"CONNECT -> 407", "= CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 200"},
					[]string{"CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 407", "= CONNECT Negotiate -> 200"},
				},
			},
		},
	}
}

func TestNegotiateSurprises(t *testing.T) {
	t.Parallel()
	for row, tt := range surprises() {
		for _, w := range sample.Of(row, ways) {
			r := newRealm(t)
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				l := newNegotiateLab(t, r, tt.mechanism(r), testproxy.Config{})
				l.requireLegs(w, tt.legs[w.desc])
				l.requireTickets(1, 1)
			})
			bubble(t, tt.desc+", "+w.desc+", many at once", func(t *testing.T) {
				l := newNegotiateLab(t, r, tt.mechanism(r), testproxy.Config{})
				for range 2 {
					require.NoError(t, errors.Join(together(20, func(int) error { return w.reach(t.Context(), l.rt, originHost) })...))
				}
				l.tally()
			})
		}
	}
}

// requireBodyGone requires a POST with a body that can't be had again to end with the
// proxy's 407, since the body is gone, and nothing to arrive.
func (l *lab) requireBodyGone(size int) *proxyauth.Error {
	l.t.Helper()
	u := newUpload(size)
	resp, err := l.post(u)
	return l.requireGone(u, resp, err)
}

// post sends a body that can't be had again.
func (l *lab) post(u *upload) (*http.Response, error) {
	resp, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin+"/", nil), false))
	return resp, err
}

func (l *lab) requireGone(u *upload, resp *http.Response, err error) *proxyauth.Error {
	l.t.Helper()
	require.Empty(l.t, l.origin.Requests())
	u.requireClosed(l.t)
	if err != nil { // tinyproxy's answer may be lost with the connection
		return requireCause(l.t, proxyauth.CauseProxyFailed, err)
	}
	require.Equal(l.t, http.StatusProxyAuthRequired, resp.StatusCode)
	e := explained(resp)
	require.NotNil(l.t, e)
	require.Equal(l.t, proxyauth.CauseBodyNotReplayable, e.Cause)
	return e
}

// A body that can't be had again is lost to a surprise at most once, which is told;
// it never arrives in part. One that can is sent again.
func TestNegotiateSurprisesWithBody(t *testing.T) {
	t.Parallel()
	for row, tt := range surprises() {
		const size = longBody
		for _, policy := range sample.Of(row, slices.Sorted(maps.Keys(bodyPolicies))) {
			refused := bodyPolicies[policy]
			r := newRealm(t)
			config := testproxy.Config{RefusedBody: refused}
			bubble(t, tt.desc+", refused "+policy, func(t *testing.T) {
				l := newNegotiateLab(t, r, tt.mechanism(r), config)
				u := newUpload(size)
				resp, err := l.post(u)
				if refused == testproxy.AnswerThenClose && err == nil && resp.StatusCode == http.StatusOK {
					l.requireUpload(u) // the answer came before the body was first read from
				} else {
					l.requireGone(u, resp, err)
				}
				for _, replayable := range []bool{false, true} {
					u := newUpload(size)
					_, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), replayable))
					require.NoError(t, err)
					l.requireUpload(u)
				}
				l.hangUp()
				u = newUpload(size)
				_, err = l.post(u)
				require.NoError(t, err)
				l.requireUpload(u)
			})
			bubble(t, tt.desc+", refused "+policy+", replayable", func(t *testing.T) {
				l := newNegotiateLab(t, r, tt.mechanism(r), config)
				u := newUpload(size)
				_, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), true))
				require.NoError(t, err)
				l.requireUpload(u)
			})
		}
	}
}

// requireUpload requires the origin to have got the body whole and once, and
// nothing else but what has authenticated a connection for it.
func (l *negotiateLab) requireUpload(u *upload) {
	l.t.Helper()
	u.requireClosed(l.t)
	got := l.origin.Requests()
	for len(got) > 1 {
		require.Equal(l.t, http.MethodGet, got[0].Method)
		require.Zero(l.t, got[0].BodyBytes)
		got = got[1:]
	}
	require.Len(l.t, got, 1)
	require.Equal(l.t, u.hash(), got[0].BodySHA256)
	l.origin.Reset()
}

func (u *upload) hash() string {
	sum := sha256.Sum256(u.data)
	return hex.EncodeToString(sum[:])
}

// A proxy that wants a token with each request is noticed at the second one, and
// then served without a leg more than that.
func TestNegotiatePerRequest(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		r := newRealm(t)
		perRequest := func(t *testing.T) *negotiateLab {
			config := testproxy.Config{}
			if tls {
				config.TLS = ca.ServerConfig("proxy.example.com")
			}
			l := newNegotiateLab(t, r, spnegoserver.Mechanism{PerRequest: true}, config)
			l.server.RequireCB = tls
			return l
		}
		bubble(t, fmt.Sprintf("TLS %t", tls), func(t *testing.T) {
			l := perRequest(t)
			l.get(httpOrigin + "/a")
			l.legs("GET /a -> 407", "GET /a Negotiate -> 200")
			l.get(httpOrigin + "/b")
			l.legs("GET /b -> 407", "GET /b Negotiate -> 200")
			l.get(httpOrigin + "/c")
			l.legs("GET /c Negotiate -> 200")
			l.get(httpsOrigin + "/d")
			l.legs("CONNECT Negotiate -> 200")
			l.get(httpsOrigin + "/e")
			l.legs()
			l.hangUp()
			l.get(httpOrigin + "/f")
			l.legs("GET /f Negotiate -> 200")
			l.requireTickets(1, 1)
			require.Len(t, l.server.Contexts(), 5, "tokens")
		})
		bubble(t, fmt.Sprintf("TLS %t, tunnel first", tls), func(t *testing.T) {
			l := perRequest(t)
			l.get(httpsOrigin + "/a")
			l.legs("CONNECT -> 407", "= CONNECT Negotiate -> 200")
			l.get(httpOrigin + "/b")
			l.legs("GET /b Negotiate -> 200")
			l.get(httpOrigin + "/c")
			l.legs("GET /c -> 407", "GET /c Negotiate -> 200")
		})
		bubble(t, fmt.Sprintf("TLS %t, from time to time", tls), func(t *testing.T) {
			l := perRequest(t)
			l.get(httpOrigin + "/a")
			l.legs("GET /a -> 407", "GET /a Negotiate -> 200")
			time.Sleep(time.Minute) // for which it may be that the proxy forgets a connection
			l.get(httpOrigin + "/b")
			l.legs("GET /b -> 407", "GET /b Negotiate -> 200")
			l.get(httpOrigin + "/c")
			l.legs("GET /c -> 407", "GET /c Negotiate -> 200")
			l.get(httpOrigin + "/d")
			l.legs("GET /d Negotiate -> 200")
		})
	}
}

// Bodies arrive once, whether or not they can be had again, before it is known that
// the proxy wants a token with each request and after.
func TestNegotiatePerRequestWithBody(t *testing.T) {
	t.Parallel()
	for _, size := range []int{shortBody, longBody} {
		for _, replayable := range []bool{true, false} {
			r := newRealm(t)
			bubble(t, fmt.Sprintf("%d bytes, replayable %t", size, replayable), func(t *testing.T) {
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{PerRequest: true}, testproxy.Config{RefusedBody: testproxy.SquidBody})
				post := func() {
					u := newUpload(size)
					_, _, err := l.do(u.put(l.request(http.MethodPost, httpOrigin, nil), replayable))
					require.NoError(t, err)
					l.requireUpload(u)
				}
				for range 3 {
					post()
				}
				l.get(httpOrigin + "/")
				l.get(httpOrigin + "/")
				l.get(httpOrigin + "/")
				l.origin.Reset()
				l.proxy.Reset()
				for range 3 {
					post()
					require.Equal(t, []string{"POST / Negotiate -> 200"}, l.shapes())
				}
			})
		}
	}
}

// Where there is no ticket any more, nothing takes the place of Kerberos, which the proxy
// has accepted.
func TestNegotiatePerRequestWithoutTicket(t *testing.T) {
	t.Parallel()
	const workers = 20
	r := newRealm(t)
	bubble(t, "", func(t *testing.T) {
		l := newNegotiateLab(t, r, spnegoserver.Mechanism{PerRequest: true, Server: withNTLM(r, spnegoserver.Faults{})}, testproxy.Config{})
		for range 3 {
			l.get(httpOrigin + "/")
		}
		l.legs("GET / -> 407", "GET / Negotiate -> 200", "= GET / -> 407", "GET / Negotiate -> 200", "= GET / Negotiate -> 200")
		r.instead(func([]byte) []byte { return nil })
		time.Sleep(24 * time.Hour)
		for _, err := range together(workers, func(int) error { return fetch(t.Context(), l.rt, originHost) }) {
			require.ErrorIs(t, requireCause(t, proxyauth.CausePolicyForbids, err), negotiate.KDCUnreachable)
		}
		require.NotContains(t, l.schemesSent(), "Negotiate")
		require.Empty(t, l.proxy.Violations())
	})
}
