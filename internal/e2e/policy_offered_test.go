package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// TestFloorOfOffers has a proxy offer a strong scheme that can't be begun here, and
// then a weak one in its place: to have been offered the strong one is enough.
func TestFloorOfOffers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		desc    string
		strong  testproxy.Mechanism
		schemes []proxyauth.Scheme
		answer  func(*proxyauth.CredentialsRequest) (string, error)
	}{
		{
			desc: "no credentials for it", strong: &testproxy.Digest{Realm: "lab"},
			schemes: []proxyauth.Scheme{digest.Scheme{}, basic.Scheme{}},
			answer: func(req *proxyauth.CredentialsRequest) (string, error) {
				if req.Scheme != "Basic" {
					return "", proxyauth.ErrNoCredentials
				}
				return password, nil
			},
		},
		{
			desc: "forbidden algorithm", strong: &testproxy.Digest{Realm: "lab"},
			schemes: []proxyauth.Scheme{digest.Scheme{MinAlgorithm: digest.SHA256}, basic.Scheme{}},
			answer:  always(password),
		},
		{
			desc: "it fails here", strong: &testproxy.NTLM{},
			schemes: []proxyauth.Scheme{&ntlm.Scheme{}, basic.Scheme{}},
			answer:  always(password + "\x00"),
		},
	} {
		for _, allow := range []bool{false, true} {
			for _, w := range ways {
				bubble(t, tt.desc+", "+w.desc, func(t *testing.T) {
					l, _ := newWitnessedLab(t, tt.strong, tt.answer)
					l.rt.Schemes, l.rt.InsecureAllowDowngrade = tt.schemes, allow
					require.Error(t, w.reach(t.Context(), l.rt, originHost))
					l.newConns()
					weak := &testproxy.Basic{Realm: "lab"}
					l.adopt(weak)
					l.proxy.SetAuth(weak)
					err := w.reach(t.Context(), l.rt, originHost)
					if allow {
						require.NotErrorIs(t, err, proxyauth.ErrForbidden)
						return
					}
					requireForbidden(t, "Transport.InsecureAllowDowngrade", err)
					require.NotContains(t, l.schemesSent(), "Basic")
				})
			}
		}
	}
}
