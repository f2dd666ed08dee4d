package spnegoserver_test

import (
	"testing"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// FuzzAcceptsOnlyItsClient feeds a context with two tokens. Nothing that fuzzing
// makes of the seeds can prove to be ann, since none of them is signed for this
// server.
func FuzzAcceptsOnlyItsClient(f *testing.F) {
	l, other := newLab(f), newLab(f)
	i := other.initiator(f)
	f.Add(i.token(), negTokenResp(f, nil, []byte{1}))
	f.Add(i.apReq(), []byte{})
	f.Add(i.negTokenInit(nil), negTokenResp(f, i.apReq(), nil))
	i.mechs = []asn1.ObjectIdentifier{oidNTLM, oidMSKrb5}
	f.Add(i.negTokenInit(negotiate(f)), negTokenResp(f, []byte("NTLMSSP\x00\x03"), nil))
	f.Add(negotiate(f), []byte("NTLMSSP\x00\x03\x00\x00\x00"))
	srv := withNTLM(l, spnegoserver.Faults{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		ctx := srv.NewContext(binding)
		_, done, err := ctx.Accept(first)
		require.False(t, done)
		if err == nil {
			_, done, _ = ctx.Accept(second)
			require.False(t, done)
		}
		require.Empty(t, ctx.User())
	})
}

// FuzzServerSurvivesKeytab feeds a server with keytabs that are none.
func FuzzServerSurvivesKeytab(f *testing.F) {
	l := newLab(f)
	f.Add([]byte{})
	f.Add([]byte{5, 2, 0x7f, 0xff, 0xff, 0xff})
	f.Add(l.kdc.Keytab("HTTP/other.example.com"))
	token := l.initiator(f).token()
	f.Fuzz(func(t *testing.T, keytab []byte) {
		srv := &spnegoserver.Server{Keytab: keytab}
		_, done, _ := srv.NewContext(nil).Accept(token)
		require.False(t, done)
	})
}
