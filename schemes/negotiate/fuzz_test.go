package negotiate_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// seeds are tokens of a proxy, the start of each of which is as it should be.
var seeds = [][]byte{
	nil,
	[]byte("NTLMSSP\x00\x02\x00\x00\x00"),
	[]byte("no token at all"),
	{0xa1, 0x07, 0x30, 0x05, 0xa0, 0x03, 0x0a, 0x01, 0x02}, // reject
	{0xa1, 0x07, 0x30, 0x05, 0xa0, 0x03, 0x0a, 0x01, 0x03}, // request-mic
	{0xa1, 0x02, 0x30, 0x00},                               // no field
	{0xa1, 0x15, 0x30, 0x13, 0xa0, 0x03, 0x0a, 0x01, 0x03, 0xa1, 0x0c, 0x06, 0x0a, // NTLM selected
		0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a},
	{0xa1, 0x09, 0x30, 0x07, 0xa2, 0x05, 0x04, 0x03, 0x6f, 0x01, 0x30}, // half an AP-REP
	{0x60, 0x84, 0xff, 0xff, 0xff, 0xff},
	{0x7e, 0x00},
}

// Whatever a proxy sends, an exchange ends within its bounds, and neither verifies
// a proxy that does not have the ticket's key, nor takes the password for refused
// before it was sent.
func FuzzProxyCanNotDeceive(f *testing.F) {
	hermetic(f)
	k := kdc.Start(f, kdc.Config{Principals: []kdc.Principal{{Name: "ann", Password: "s3cret"}, {Name: proxySPN}}})
	scheme := &negotiate.Scheme{Realm: k.Realm(), KDCs: []string{k.Addr()}, Sources: []negotiate.Source{negotiate.Password}}
	mutual := &negotiate.Scheme{Realm: k.Realm(), KDCs: []string{k.Addr()}, Sources: []negotiate.Source{negotiate.Password}, RequireMutual: true}
	for _, seed := range seeds {
		f.Add(seed, []byte{0xa1, 0x02, 0x30, 0x00})
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, scheme := range []*negotiate.Scheme{scheme, mutual} {
			scheme.ForgetProxies()
			s, err := scheme.NewSession(t.Context(), exchange("ann", "s3cret"))
			require.NoError(t, err)
			proved := false
			var failure error
			const more = 20
			for n := range more {
				authorization, err := s.Authorization(t.Context(), proxyauth.Leg{})
				require.NoError(t, err)
				token := first
				if n%2 == 1 {
					token = second
				}
				text := base64.StdEncoding.EncodeToString(token)
				resp := &http.Response{Header: http.Header{"Proxy-Authenticate": {"Negotiate " + text}}}
				if err := s.(proxyauth.Verifier).Verify(resp); scheme == mutual {
					require.Error(t, err)
				}
				proved = !authorization.More && n > 0
				if failure = proceed(t.Context(), s, []proxyauth.Challenge{{Scheme: "Negotiate", Token68: text}}); failure != nil {
					break
				}
				require.Less(t, n, more-1, "the exchange does not end")
			}
			if !proved {
				require.NotErrorIs(t, failure, proxyauth.ErrRejected)
			}
		}
	})
}
