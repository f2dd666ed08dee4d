package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// newPreemptiveLab returns a lab whose Transport has the schemes and opens one of
// them unasked.
func newPreemptiveLab(t testing.TB, config testproxy.Config, schemes ...proxyauth.Scheme) *lab {
	l := newLab(t, config)
	l.rt.Preemptive, l.rt.Schemes = true, schemes
	return l
}

// requireUnrefused requires that nothing has been noted as refused.
func (l *lab) requireUnrefused() {
	l.t.Helper()
	for _, s := range l.rt.Stats() {
		require.Zero(l.t, s.Rejections)
	}
}

// TestPreemptiveLegs states the legs of the first column of the README's table, which
// are those of the second.
func TestPreemptiveLegs(t *testing.T) {
	t.Parallel()
	ntlmFirst := allSchemes()
	basicAlone := []proxyauth.Scheme{basic.Scheme{}}
	digestAlone := []proxyauth.Scheme{digest.Scheme{}}
	for _, tt := range []struct {
		desc      string
		schemes   []proxyauth.Scheme
		mechanism func() testproxy.Mechanism
		forwarded []string
		tunnelled []string
	}{
		{
			desc: "Basic", schemes: basicAlone,
			mechanism: func() testproxy.Mechanism { return &testproxy.Basic{Realm: "lab"} },
			forwarded: []string{"GET / Basic -> 200"},
			tunnelled: []string{"CONNECT Basic -> 200"},
		}, {
			desc: "NTLM", schemes: ntlmFirst,
			mechanism: func() testproxy.Mechanism {
				return &testproxy.NTLM{Server: &ntlmserver.Server{RequireMIC: true}}
			},
			forwarded: []string{"open NTLM -> 407", "= GET / NTLM -> 200"},
			tunnelled: []string{"CONNECT NTLM -> 407", "= CONNECT NTLM -> 200"},
		}, {
			desc: "Digest, which can't open", schemes: digestAlone,
			mechanism: func() testproxy.Mechanism { return &testproxy.Digest{Realm: "lab"} },
			forwarded: []string{"GET / -> 407", "= GET / Digest -> 200"},
			tunnelled: []string{"CONNECT -> 407", "= CONNECT Digest -> 200"},
		}, {
			desc: "Digest before Basic, which could", schemes: []proxyauth.Scheme{digest.Scheme{}, basic.Scheme{}},
			mechanism: func() testproxy.Mechanism { return &testproxy.Digest{Realm: "lab"} },
			forwarded: []string{"GET / -> 407", "= GET / Digest -> 200"},
			tunnelled: []string{"CONNECT -> 407", "= CONNECT Digest -> 200"},
		}, {
			desc: "NTLM, not offered", schemes: ntlmFirst,
			mechanism: func() testproxy.Mechanism { return &testproxy.Basic{Realm: "lab"} },
			forwarded: []string{"open NTLM -> 407", "+ GET / Basic -> 200"},
			tunnelled: []string{"CONNECT NTLM -> 407", "CONNECT Basic -> 200"},
		}, {
			desc: "Basic, not offered", schemes: []proxyauth.Scheme{basic.Scheme{}, &ntlm.Scheme{}},
			mechanism: func() testproxy.Mechanism { return &testproxy.NTLM{} },
			forwarded: []string{"GET / Basic -> 407", "open NTLM -> 407", "= GET / NTLM -> 200"},
			tunnelled: []string{"CONNECT Basic -> 407", "= CONNECT NTLM -> 407", "= CONNECT NTLM -> 200"},
		},
	} {
		for _, tls := range []bool{false, true} {
			eachWay(t, fmt.Sprintf("%s, TLS %v", tt.desc, tls), func(t *testing.T, w way) {
				config := testproxy.Config{Auth: []testproxy.Mechanism{tt.mechanism()}}
				if tls {
					config.TLS = ca.ServerConfig("proxy.example.com")
				}
				l := newPreemptiveLab(t, config, tt.schemes...)
				if m, ok := config.Auth[0].(*testproxy.NTLM); ok {
					m.Server.RequireEPA = tls
				}
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				if w.method == forwarded.method {
					l.legs(tt.forwarded...)
				} else {
					l.legs(tt.tunnelled...)
				}
				l.requireUnrefused()
				require.Zero(t, l.failures(config.Auth[0]))

				// The second request is as without.
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				l.requireUnrefused()
				for _, leg := range l.proxy.Legs() {
					require.Contains(t, []string{"", config.Auth[0].Scheme()}, leg.Scheme)
				}
			})
		}
	}
}

// Many requests at once open once, and what was opened in vain stands in nobody's
// way.
func TestPreemptiveIsSingleFlight(t *testing.T) {
	t.Parallel()
	for i, mechanism := range allMechanisms() {
		eachWay(t, mechanism.Scheme(), func(t *testing.T, w way) {
			l := newPreemptiveLab(t, testproxy.Config{Auth: allMechanisms()[i : i+1]}, allSchemes()...)
			for _, err := range together(20, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
				require.NoError(t, err)
			}
			l.requireUnrefused()
			if mechanism.Scheme() != "NTLM" {
				require.Equal(t, 1, l.tally()[w.method+" NTLM 407"])
			}
		})
	}
}

// A password that is wrong in the scheme that was opened is wrong in others too.
func TestPreemptiveRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc    string
		schemes []proxyauth.Scheme
		auth    []testproxy.Mechanism
		fault   testproxy.Fault
		sent    map[string]int
	}{
		{
			desc: "Basic", schemes: []proxyauth.Scheme{basic.Scheme{}, digest.Scheme{}},
			auth: []testproxy.Mechanism{&testproxy.Basic{Realm: "lab"}, &testproxy.Digest{Realm: "lab"}},
			sent: map[string]int{"Basic": 1},
		}, {
			desc: "NTLM", schemes: allSchemes(),
			auth: []testproxy.Mechanism{&testproxy.NTLM{}, &testproxy.Basic{Realm: "lab"}},
			sent: map[string]int{"NTLM": 2},
		}, {
			desc: "NTLM, of which no more is said then", schemes: allSchemes(),
			auth:  []testproxy.Mechanism{&testproxy.NTLM{}, &testproxy.Basic{Realm: "lab"}},
			fault: onToken(authenticateToken, testproxy.Offer(`Basic realm="lab"`)),
			sent:  map[string]int{"NTLM": 2},
		},
	} {
		eachWay(t, tt.desc, func(t *testing.T, w way) {
			l := newPreemptiveLab(t, testproxy.Config{Auth: tt.auth, Fault: tt.fault}, tt.schemes...)
			witness := &witness{answer: always(wrongPassword)}
			l.rt.Credentials = witness
			for range 3 {
				requireCause(t, proxyauth.CauseCredentialsRejected, w.reach(t.Context(), l.rt, originHost))
			}
			sent := make(map[string]int)
			for _, leg := range l.proxy.Legs() {
				if leg.Scheme != "" {
					sent[leg.Scheme]++
				}
			}
			require.Equal(t, tt.sent, sent)
			require.Equal(t, []string{wrongPassword}, witness.rejected)
		})
	}
}

// What one request has opened and not brought to an end is taken up by the next,
// which is told as well that the proxy speaks something else.
func TestPreemptiveTakenUp(t *testing.T) {
	t.Parallel()
	for _, first := range []proxyauth.Scheme{basic.Scheme{}, &ntlm.Scheme{}} {
		eachWay(t, first.Name(), func(t *testing.T, w way) {
			l := newPreemptiveLab(t, testproxy.Config{
				Auth:  []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}},
				Fault: testproxy.Times(maxBroken, testproxy.Always(testproxy.DropAt(testproxy.OnRequest))),
			}, first, digest.Scheme{})
			for range maxBroken {
				if w.reach(t.Context(), l.rt, originHost) == nil {
					break
				}
				time.Sleep(maxPause)
			}
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.requireUnrefused()
			require.Zero(t, l.users.Failures(user))
		})
	}
}

// A scheme that was opened unasked is not one that the proxy has offered, unless
// it was accepted.
func TestPreemptiveFloor(t *testing.T) {
	t.Parallel()
	eachWay(t, "accepted", func(t *testing.T, w way) {
		l := newPreemptiveLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.NTLM{}}}, allSchemes()...)
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.newConns()
		_, _, weak := l.strength()
		l.proxy.SetAuth(weak)
		require.Error(t, w.reach(t.Context(), l.rt, originHost))
		require.Equal(t, []string{"NTLM"}, l.schemesSent())
	})
	eachWay(t, "unknown credentials", func(t *testing.T, w way) {
		l := newPreemptiveLab(t, testproxy.Config{}, allSchemes()...)
		l.rt.Credentials = &witness{answer: func(*proxyauth.CredentialsRequest) (string, error) { return "", proxyauth.ErrNoCredentials }}
		require.NoError(t, w.reach(t.Context(), l.rt, originHost))
		l.legs(w.method + map[string]string{"GET": " /", "CONNECT": ""}[w.method] + " -> 200")
	})
}
