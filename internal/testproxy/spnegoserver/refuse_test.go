package spnegoserver_test

import (
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

func TestRefusesWrongKerberos(t *testing.T) {
	l := newLab(t)
	cases := []struct {
		desc   string
		client func(*initiator)
		server func(*spnegoserver.Server)
		want   error
		code   int32
	}{
		{desc: "other service", client: func(i *initiator) { i.service = "HTTP/other.example.com" }, want: spnegoserver.ErrWrongService, code: 35},
		{desc: "no key", server: func(s *spnegoserver.Server) { s.Keytab = l.kdc.Keytab("ann") }, want: spnegoserver.ErrNoKey, code: 45},
		{desc: "key changed", server: func(s *spnegoserver.Server) { s.Keytab = flipKeys(s.Keytab) }, want: spnegoserver.ErrTicket, code: 31},
		{desc: "keytab cut", server: func(s *spnegoserver.Server) { s.Keytab = s.Keytab[:20] }, want: spnegoserver.ErrKeytab, code: 60},
		{desc: "expired", server: serverAt(11 * time.Hour), want: spnegoserver.ErrTicketExpired, code: 32},
		{desc: "not yet valid", server: serverAt(-time.Hour), want: spnegoserver.ErrTicketNotValid, code: 33},
		{desc: "skew", server: serverAt(10 * time.Minute), want: spnegoserver.ErrSkew, code: 37},
		{desc: "other client", client: edit(func(a *types.Authenticator) { a.CName.NameString = []string{"bob"} }), want: spnegoserver.ErrAuthenticator, code: 36},
		{desc: "other realm", client: edit(func(a *types.Authenticator) { a.CRealm = "LAB" }), want: spnegoserver.ErrAuthenticator, code: 36},
		{desc: "subkey too short", client: edit(func(a *types.Authenticator) { a.SubKey.KeyValue = make([]byte, 24) }), want: spnegoserver.ErrAuthenticator, code: 36},
		{desc: "other checksum", client: edit(func(a *types.Authenticator) { a.Cksum.CksumType = 16 }), want: spnegoserver.ErrChecksum, code: 50},
		{desc: "short checksum", client: edit(func(a *types.Authenticator) { a.Cksum.Checksum = a.Cksum.Checksum[:23] }), want: spnegoserver.ErrChecksum, code: 50},
		{desc: "wrong length in checksum", client: edit(func(a *types.Authenticator) { a.Cksum.Checksum[0] = 15 }), want: spnegoserver.ErrChecksum, code: 50},
		{desc: "by a fault", server: fault(spnegoserver.Faults{KRBError: 37}), want: spnegoserver.ErrRejected, code: 37},
	}
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			i, srv := l.initiator(t), l.server()
			if tc.client != nil {
				tc.client(i)
			}
			if tc.server != nil {
				tc.server(srv)
			}
			ctx := srv.NewContext(nil)
			out, done, err := ctx.Accept(i.token())
			require.ErrorIs(t, err, tc.want)
			require.False(t, done)
			require.Empty(t, ctx.User())
			answer := parse(t, out)
			require.EqualValues(t, 2, answer.State)
			require.Equal(t, tc.code, krbErrorCode(t, answer.Token))
			_, _, err = ctx.Accept(i.token())
			require.ErrorIs(t, err, spnegoserver.ErrSequence)
		})
	}
}

func edit(f func(*types.Authenticator)) func(*initiator) {
	return func(i *initiator) { i.edit = f }
}

func serverAt(offset time.Duration) func(*spnegoserver.Server) {
	return func(s *spnegoserver.Server) {
		s.Now = func() time.Time { return time.Now().Add(offset) }
	}
}

func fault(f spnegoserver.Faults) func(*spnegoserver.Server) {
	return func(s *spnegoserver.Server) { s.Faults = spnegoserver.Always(f) }
}

// flipKeys changes the last byte of each key, which is 5 bytes before the end of
// its entry.
func flipKeys(keytab []byte) []byte {
	for at := 2; at < len(keytab); {
		length := int(keytab[at+2])<<8 | int(keytab[at+3])
		at += 4 + length
		keytab[at-5] ^= 1
	}
	return keytab
}

func krbErrorCode(t *testing.T, token []byte) int32 {
	t.Helper()
	var oid asn1.ObjectIdentifier
	body, err := asn1.UnmarshalWithParams(token, &oid, "application,explicit,tag:0")
	require.NoError(t, err)
	require.Equal(t, []byte{3, 0}, body[:2])
	var e messages.KRBError
	require.NoError(t, e.Unmarshal(body[2:]))
	return e.ErrorCode
}

func TestTokenIsGoodOnce(t *testing.T) {
	l := newLab(t)
	srv := l.server()
	token := l.initiator(t).token()
	_, done, err := srv.NewContext(nil).Accept(token)
	require.NoError(t, err)
	require.True(t, done)
	_, _, err = srv.NewContext(nil).Accept(token)
	require.ErrorIs(t, err, spnegoserver.ErrReplay)
	require.Len(t, srv.Contexts(), 2)
}

func TestRefusesWrongTokens(t *testing.T) {
	l := newLab(t)
	i := l.initiator(t)
	good, ap := i.token(), i.apReq()
	flipped := append([]byte(nil), good...)
	flipped[len(flipped)-1] ^= 1
	cases := []struct {
		desc string
		in   []byte
		want error
	}{
		{"nothing", nil, spnegoserver.ErrMalformed},
		{"raw Kerberos", ap, spnegoserver.ErrRawKerberos},
		{"raw NTLM", []byte("NTLMSSP\x00\x01\x00\x00\x00"), spnegoserver.ErrRawNTLM},
		{"a later token first", negTokenResp(t, ap, nil), spnegoserver.ErrMalformed},
		{"cut", good[:len(good)-1], spnegoserver.ErrMalformed},
		{"a byte more", append(good[:len(good):len(good)], 0), spnegoserver.ErrMalformed},
		{"ciphertext changed", flipped, spnegoserver.ErrAuthenticator},
		{"too long", make([]byte, 64<<10+1), spnegoserver.ErrMalformed},
		{"not an AP-REQ", i.negTokenInit(gssFrame(t, oidKrb5, []byte{2, 0})), spnegoserver.ErrMalformed},
		{"AP-REQ of nothing", i.negTokenInit(gssFrame(t, oidKrb5, []byte{1, 0, 0x6e, 0})), spnegoserver.ErrMalformed},
		{"other mechanism inside", i.negTokenInit(gssFrame(t, oidNTLM, ap)), spnegoserver.ErrMalformed},
	}
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			ctx := l.server().NewContext(nil)
			_, done, err := ctx.Accept(tc.in)
			require.ErrorIs(t, err, tc.want)
			require.False(t, done)
			require.Equal(t, 1, ctx.Seen().Tokens)
		})
	}
}

func TestNoCommonMechanism(t *testing.T) {
	l := newLab(t)
	i := l.initiator(t)
	i.mechs = []asn1.ObjectIdentifier{oidNTLM, {1, 2, 3}}
	out, _, err := l.server().NewContext(nil).Accept(i.negTokenInit(nil))
	require.ErrorIs(t, err, spnegoserver.ErrNoCommonMech)
	require.Equal(t, resp{State: 2}, parse(t, out))
}

func TestViolations(t *testing.T) {
	l := newLab(t)
	cases := []struct {
		desc   string
		client func(*initiator)
		want   []string
	}{
		{"none", func(*initiator) {}, nil},
		{"delegation", func(i *initiator) { i.flags |= 1 }, []string{"credentials delegated"}},
		{"credentials without the flag", edit(func(a *types.Authenticator) {
			a.Cksum.Checksum = append(a.Cksum.Checksum, 1, 0, 0, 0)
		}), []string{"credentials delegated"}},
		{"option without flag", func(i *initiator) { i.flags = 32 }, []string{"mutual flag and mutual-required option differ"}},
		{"flag without option", func(i *initiator) { i.mutual = false }, []string{"mutual flag and mutual-required option differ"}},
		{"twice", func(i *initiator) { i.mechs = []asn1.ObjectIdentifier{oidKrb5, oidKrb5} }, []string{"a mechanism offered twice"}},
	}
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			i, srv := l.initiator(t), l.server()
			tc.client(i)
			_, done, err := srv.NewContext(nil).Accept(i.token())
			require.NoError(t, err)
			require.True(t, done)
			require.Equal(t, tc.want, srv.Violations())
		})
	}
}

func TestWrongMIC(t *testing.T) {
	l := newLab(t)
	cases := []struct {
		desc string
		mic  func(*initiator) []byte
		want error
	}{
		{"none", func(*initiator) []byte { return nil }, spnegoserver.ErrMICMissing},
		{"empty", func(*initiator) []byte { return []byte{} }, spnegoserver.ErrMIC},
		{"without the acceptor's subkey", func(i *initiator) []byte { return i.mic(i.auth.SubKey, 0) }, spnegoserver.ErrMIC},
		{"wrong key", func(i *initiator) []byte { return i.mic(i.auth.SubKey, 4) }, spnegoserver.ErrMIC},
		{"sent back", func(i *initiator) []byte { return i.mic(i.session, 5) }, spnegoserver.ErrMIC},
	}
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			i, srv := l.initiator(t), l.server()
			fault(spnegoserver.Faults{RequestMIC: true})(srv)
			ctx := srv.NewContext(nil)
			_, _, err := ctx.Accept(i.token())
			require.NoError(t, err)
			_, done, err := ctx.Accept(negTokenResp(t, nil, tc.mic(i)))
			require.ErrorIs(t, err, tc.want)
			require.False(t, done)
		})
	}
}
