package spnegoserver_test

import (
	"testing"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

func TestAcceptsEachEnctype(t *testing.T) {
	for _, etype := range []int32{kdc.AES128SHA1, kdc.AES256SHA1, kdc.AES128SHA2, kdc.AES256SHA2, kdc.RC4} {
		l := newLab(t, etype)
		i := l.initiator(t)
		ctx := l.server().NewContext(nil)
		out, done, err := ctx.Accept(i.token())
		require.NoError(t, err, "enctype %d", etype)
		require.True(t, done)
		require.Equal(t, "ann@EXAMPLE.COM", ctx.User())
		answer := parse(t, out)
		require.Zero(t, answer.State)
		require.Equal(t, oidKrb5, answer.Mech)
		require.Nil(t, answer.MIC)
		subkey, problem := i.verifyAPRep(answer.Token)
		require.Empty(t, problem)
		require.Equal(t, etype, subkey.KeyType)
		require.Equal(t, spnegoserver.Seen{
			Tokens: 1, MechTypes: []string{spnegoserver.Kerberos, spnegoserver.NTLMSSP}, Optimistic: true,
			Selected: spnegoserver.Kerberos, Service: service, Client: "ann@EXAMPLE.COM",
			TicketEnctype: etype, SessionEnctype: etype, SubkeyEnctype: etype,
			Flags: spnegoserver.FlagMutual | spnegoserver.FlagIntegrity, MutualOption: true,
		}, ctx.Seen())
	}
}

// TestWithoutMutual has what gokrb5's own SPNEGO client sends.
func TestWithoutMutual(t *testing.T) {
	l := newLab(t)
	i := l.initiator(t)
	i.mechs = i.mechs[:1]
	i.flags, i.mutual, i.subkey = 16|32, false, false
	srv := l.server()
	ctx := srv.NewContext(binding)
	out, done, err := ctx.Accept(i.token())
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, resp{State: 0, Mech: oidKrb5}, parse(t, out))
	require.False(t, ctx.Seen().MutualOption)
	require.False(t, ctx.Seen().ChannelBinding)
	require.Zero(t, ctx.Seen().SubkeyEnctype)
	require.Empty(t, srv.Violations())
}

func TestChannelBinding(t *testing.T) {
	l := newLab(t)
	other := append([]byte("tls-server-end-point:"), 1)
	cases := []struct {
		desc         string
		client, conn []byte
		require      bool
		want         error
	}{
		{desc: "right", client: binding, conn: binding, require: true},
		{desc: "not required, none", conn: binding},
		{desc: "required, none", conn: binding, require: true, want: spnegoserver.ErrNoBinding},
		{desc: "wrong", client: other, conn: binding, want: spnegoserver.ErrChannelBinding},
		{desc: "connection without", client: binding},
		{desc: "connection without, required", client: binding, require: true, want: spnegoserver.ErrNoBinding},
	}
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			i := l.initiator(t)
			i.binding = tc.client
			srv := l.server()
			srv.RequireCB = tc.require
			ctx := srv.NewContext(tc.conn)
			_, done, err := ctx.Accept(i.token())
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, tc.want == nil, done)
			require.Equal(t, tc.client != nil, ctx.Seen().ChannelBinding)
			require.Equal(t, tc.desc == "right", ctx.Seen().BindingOK)
		})
	}
}

func TestWindowsListsItsOwnKerberosFirst(t *testing.T) {
	l := newLab(t)
	i := l.initiator(t)
	i.mechs = []asn1.ObjectIdentifier{oidMSKrb5, oidKrb5, oidNTLM}
	ctx := l.server().NewContext(nil)
	out, done, err := ctx.Accept(i.token())
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, oidMSKrb5, parse(t, out).Mech)
	require.Equal(t, spnegoserver.MSKerberos, ctx.Seen().Selected)
}

func TestNoOptimisticToken(t *testing.T) {
	l := newLab(t)
	i := l.initiator(t)
	ctx := l.server().NewContext(nil)
	out, done, err := ctx.Accept(i.negTokenInit(nil))
	require.NoError(t, err)
	require.False(t, done)
	require.Equal(t, resp{State: 1, Mech: oidKrb5}, parse(t, out))
	require.Empty(t, ctx.User())
	out, done, err = ctx.Accept(negTokenResp(t, i.apReq(), nil))
	require.NoError(t, err)
	require.True(t, done)
	require.Nil(t, parse(t, out).Mech, "only the first answer names it")
	require.False(t, ctx.Seen().Optimistic)
}

// TestMICWithKerberos has Kerberos as the second choice, which makes the MIC a
// must.
func TestMICWithKerberos(t *testing.T) {
	for _, noSubkey := range []bool{false, true} {
		l := newLab(t)
		i := l.initiator(t)
		i.mechs = []asn1.ObjectIdentifier{oidNTLM, oidKrb5}
		srv := l.server()
		srv.NoSubkey = noSubkey
		ctx := srv.NewContext(nil)
		out, _, err := ctx.Accept(i.negTokenInit([]byte("of the first mechanism")))
		require.NoError(t, err)
		require.Equal(t, resp{State: 3, Mech: oidKrb5}, parse(t, out))

		out, done, err := ctx.Accept(negTokenResp(t, i.apReq(), nil))
		require.NoError(t, err)
		require.False(t, done)
		answer := parse(t, out)
		require.EqualValues(t, 1, answer.State)
		key, problem := i.verifyAPRep(answer.Token)
		require.Empty(t, problem)
		flags := byte(4)
		if noSubkey {
			require.Empty(t, key.KeyValue)
			key, flags = i.auth.SubKey, 0
		}
		var mic gssapi.MICToken
		require.NoError(t, mic.Unmarshal(answer.MIC, true))
		mic.Payload = i.list
		ok, err := mic.Verify(key, 23)
		require.NoError(t, err)
		require.True(t, ok)

		out, done, err = ctx.Accept(negTokenResp(t, nil, i.mic(key, flags)))
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, resp{State: 0}, parse(t, out))
		require.True(t, ctx.Seen().MIC)
	}
}

func TestMICWithoutAPRep(t *testing.T) {
	l := newLab(t)
	i := l.initiator(t)
	i.flags, i.mutual, i.subkey = 32, false, false
	srv := l.server()
	srv.Faults = spnegoserver.Always(spnegoserver.Faults{RequestMIC: true})
	ctx := srv.NewContext(nil)
	out, _, err := ctx.Accept(i.token())
	require.NoError(t, err)
	require.Equal(t, resp{State: 3, Mech: oidKrb5}, parse(t, out))
	out, done, err := ctx.Accept(negTokenResp(t, nil, i.mic(i.session, 0)))
	require.NoError(t, err)
	require.True(t, done)
	require.NotEmpty(t, parse(t, out).MIC)
}
