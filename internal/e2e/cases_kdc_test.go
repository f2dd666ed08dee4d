package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// Where the proxy has accepted a ticket, a KDC that fails is an error: NTLM, which is weaker, is
// not for whoever can keep the KDC away. When it is back, Kerberos is.
func TestKDCFailureOpensNoNTLM(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc string
		fail func(*negotiateLab)
		code negotiate.Code
	}{
		{"down", func(l *negotiateLab) { l.realm.fail.Store(new(krbDial(refuseKDC))) }, negotiate.KDCUnreachable},
		{"silent", func(l *negotiateLab) { l.realm.fail.Store(new(krbDial(silentKDC))) }, negotiate.KDCUnreachable},
		{"garbage", func(l *negotiateLab) { l.realm.instead(func([]byte) []byte { return []byte("HTTP/1.1 400\r\n") }) }, negotiate.MalformedReply},
		{"a policy", func(l *negotiateLab) { l.realm.Refuse(user, 12) }, negotiate.KDCRefuses},
		{"proxy unknown", func(l *negotiateLab) { l.realm.Refuse(proxySPN, 7) }, negotiate.ServiceUnknown},
	} {
		for _, w := range ways {
			r := newRealm(t)
			bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
				l := newNegotiateLab(t, r, spnegoserver.Mechanism{Server: withNTLM(r, spnegoserver.Faults{})}, testproxy.Config{})
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
				time.Sleep(11 * time.Hour) // the ticket ends
				l.rt.CloseIdleConnections()
				tt.fail(l)
				l.proxy.Reset()
				for range 5 {
					e := requireCause(t, proxyauth.CausePolicyForbids, w.reach(t.Context(), l.rt, originHost))
					require.ErrorIs(t, e, tt.code)
				}
				for leg := range l.tally() {
					require.Equal(t, w.method+" 407", leg)
				}
				r.fail.Store(nil)
				r.instead(r.KDC.Answer)
				r.Refuse(user, 0)
				r.Refuse(proxySPN, 0)
				time.Sleep(time.Minute)
				require.NoError(t, w.reach(t.Context(), l.rt, originHost))
			})
		}
	}
}
