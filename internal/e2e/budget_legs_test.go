package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// legBudgets is the README's table: how many legs a request takes.
var legBudgets = []struct {
	desc string
	lab  func(*testing.T, *realm) *lab

	cold       int  // nothing is known of the proxy
	preemptive int  // likewise, with Preemptive
	newConn    int  // on a new connection
	header     bool // on the same connection, where it has an authorization
}{
	{"Basic", labOf(&testproxy.Basic{Realm: "lab"}), 2, 1, 1, true},
	{"Digest", labOf(&testproxy.Digest{Realm: "lab"}), 2, 2, 1, true},
	{"NTLM", labOf(&testproxy.NTLM{}), 3, 2, 2, false},
	{"Negotiate, Kerberos", negotiateLabOf(false), 2, 1, 1, false},
	{"Negotiate, NTLM inside", negotiateLabOf(true), 3, 2, 2, false},
}

func labOf(m testproxy.Mechanism) func(*testing.T, *realm) *lab {
	return func(t *testing.T, _ *realm) *lab { return newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{m}}) }
}

func negotiateLabOf(ntlm bool) func(*testing.T, *realm) *lab {
	return func(t *testing.T, r *realm) *lab {
		var m spnegoserver.Mechanism
		if ntlm {
			r.Remove(proxySPN) // so that there is no ticket to be had
			m.Server = withNTLM(nil, spnegoserver.Faults{})
		}
		return newNegotiateLab(t, r, m, testproxy.Config{}).lab
	}
}

// eachLegBudget runs f for each row of the table and each path, in a bubble.
func eachLegBudget(t *testing.T, f func(l *lab, w way, row int)) {
	for row, tt := range legBudgets {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) { f(tt.lab(t, r), w, row) })
		}
	}
}

// requireNewLegs makes a request, and requires so many legs, all on one new connection.
func (l *lab) requireNewLegs(w way, want int) {
	l.t.Helper()
	l.hangUp()
	synctest.Wait()
	l.proxy.Reset()
	l.get(w.target("/"))
	require.Len(l.t, l.proxy.Legs(), want, "%q", l.proxy.Transcript())
	require.Len(l.t, l.proxy.Conns(), 1)
	require.Empty(l.t, l.proxy.Violations())
}

func TestLegBudget(t *testing.T) {
	t.Parallel()
	eachLegBudget(t, func(l *lab, w way, row int) {
		tt := legBudgets[row]
		l.requireNewLegs(w, tt.cold)

		l.proxy.Reset()
		l.get(w.target("/"))
		switch legs := l.proxy.Legs(); w.method {
		case http.MethodConnect:
			require.Empty(l.t, legs)
		default:
			require.Len(l.t, legs, 1)
			require.Equal(l.t, tt.header, legs[0].Scheme != "", "an authorization")
		}
		require.Len(l.t, l.proxy.Conns(), 1)

		l.requireNewLegs(w, tt.newConn)
	})
}

// A first authorization that nobody has asked for may have passed at an exempt host, so
// that the next request asks what it was worth, if it was all that there was.
func TestPreemptiveLegBudget(t *testing.T) {
	t.Parallel()
	eachLegBudget(t, func(l *lab, w way, row int) {
		tt := legBudgets[row]
		l.rt.Preemptive = true
		l.rt.Schemes = slices.DeleteFunc(l.schemes(), func(s proxyauth.Scheme) bool { return !strings.HasPrefix(tt.desc, s.Name()) })
		l.requireNewLegs(w, tt.preemptive)
		if tt.preemptive == 1 {
			l.requireNewLegs(w, tt.cold)
		}
		l.requireNewLegs(w, tt.newConn)
	})
}

// One nonce serves any number of new connections.
func TestDigestLegBudgetOfManyAtOnce(t *testing.T) {
	t.Parallel()
	const n = 50
	for _, w := range ways {
		bubble(t, w.desc, func(t *testing.T) {
			l := newLab(t, testproxy.Config{Auth: []testproxy.Mechanism{&testproxy.Digest{Realm: "lab"}}})
			require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			l.hangUp()
			l.tally()
			for _, err := range together(n, func(int) error { return w.reach(t.Context(), l.rt, originHost) }) {
				require.NoError(t, err)
			}
			require.Equal(t, map[string]int{w.method + " Digest 200": n}, l.tally())
		})
	}
}
