package spnegoserver_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/Azure/go-ntlmssp"
	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

// ntlmServer returns a server that always sends the same challenge.
func ntlmServer() *ntlmserver.Server {
	return &ntlmserver.Server{
		Now:          func() time.Time { return time.Unix(1_700_000_000, 0) },
		Users:        map[string]string{"ann": secret},
		NewChallenge: func() [8]byte { return [8]byte{1, 2, 3, 4, 5, 6, 7, 8} },
	}
}

func withNTLM(l *lab, f spnegoserver.Faults) *spnegoserver.Server {
	srv := l.server()
	srv.NTLM = spnegoserver.NewNTLM(ntlmServer())
	srv.Faults = spnegoserver.Always(f)
	return srv
}

func negotiate(t testing.TB) []byte {
	t.Helper()
	message, err := ntlmssp.NewNegotiateMessage("", "")
	require.NoError(t, err)
	return message
}

func authenticate(t testing.TB, challenge []byte, password string) []byte {
	t.Helper()
	message, err := ntlmssp.NewAuthenticateMessage(challenge, `CORP\ann`, password, nil)
	require.NoError(t, err)
	return message
}

// clientSecurity returns what signs for the client. The key is had from a second
// server with the same challenge, which is shown the same messages.
func clientSecurity(t testing.TB, challenge, answer []byte) *ntlmserver.Security {
	t.Helper()
	ctx := ntlmServer().NewContext(nil)
	_, _, err := ctx.Accept(negotiate(t))
	require.NoError(t, err)
	_, done, err := ctx.Accept(answer)
	require.NoError(t, err)
	require.True(t, done)
	security, err := ntlmserver.NewClientSecurity(ctx.SessionKey(), ctx.Seen().AuthenticateFlags)
	require.NoError(t, err)
	return security
}

func TestRawNTLM(t *testing.T) {
	srv := withNTLM(newLab(t), spnegoserver.Faults{})
	ctx := srv.NewContext(nil)
	challenge, done, err := ctx.Accept(negotiate(t))
	require.NoError(t, err)
	require.False(t, done)
	require.True(t, bytes.HasPrefix(challenge, []byte("NTLMSSP\x00")))
	out, done, err := ctx.Accept(authenticate(t, challenge, secret))
	require.NoError(t, err)
	require.True(t, done)
	require.Nil(t, out)
	require.Equal(t, "ann", ctx.User())
	require.True(t, ctx.Seen().Raw)
}

func TestNTLMAlone(t *testing.T) {
	l := newLab(t)
	for _, raw := range []bool{false, true} {
		i := l.initiator(t)
		i.mechs = []asn1.ObjectIdentifier{oidNTLM}
		ctx := withNTLM(l, spnegoserver.Faults{RawNTLM: raw}).NewContext(nil)
		out, done, err := ctx.Accept(i.negTokenInit(negotiate(t)))
		require.NoError(t, err)
		require.False(t, done)
		var last []byte
		if raw {
			last = authenticate(t, out, secret)
		} else {
			answer := parse(t, out)
			require.EqualValues(t, 1, answer.State)
			require.Equal(t, oidNTLM, answer.Mech)
			last = negTokenResp(t, authenticate(t, answer.Token, secret), nil)
		}
		out, done, err = ctx.Accept(last)
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, "ann", ctx.User())
		if !raw {
			require.Equal(t, resp{State: 0}, parse(t, out), "no MIC is answered by none")
		}
	}
}

func TestNTLMWrongPassword(t *testing.T) {
	l := newLab(t)
	i := l.initiator(t)
	i.mechs = []asn1.ObjectIdentifier{oidNTLM}
	ctx := withNTLM(l, spnegoserver.Faults{}).NewContext(nil)
	out, _, err := ctx.Accept(i.negTokenInit(negotiate(t)))
	require.NoError(t, err)
	out, _, err = ctx.Accept(negTokenResp(t, authenticate(t, parse(t, out).Token, "wrong"), nil))
	require.ErrorIs(t, err, spnegoserver.ErrNTLM)
	require.ErrorIs(t, err, ntlmserver.ErrWrongPassword)
	require.Equal(t, resp{State: 2}, parse(t, out))
	require.Empty(t, ctx.User())
}

// TestNTLMAsSecondMechanism has the server turn down Kerberos, which makes the
// MIC a must.
func TestNTLMAsSecondMechanism(t *testing.T) {
	cases := []struct {
		desc   string
		faults spnegoserver.Faults
		state  asn1.Enumerated
		mic    func(good []byte) []byte
		want   error
	}{
		{desc: "request-mic", state: 3},
		{desc: "accept-incomplete", faults: spnegoserver.Faults{PlainIncomplete: true}, state: 1},
		{desc: "no MIC", state: 3, mic: func([]byte) []byte { return nil }, want: spnegoserver.ErrMICMissing},
		{desc: "wrong MIC", state: 3, mic: func(good []byte) []byte { good[5] ^= 1; return good }, want: spnegoserver.ErrMIC},
	}
	l := newLab(t)
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			i := l.initiator(t)
			tc.faults.SelectNTLM = true
			ctx := withNTLM(l, tc.faults).NewContext(nil)
			out, _, err := ctx.Accept(i.token())
			require.NoError(t, err)
			require.Equal(t, resp{State: tc.state, Mech: oidNTLM}, parse(t, out))

			out, _, err = ctx.Accept(negTokenResp(t, negotiate(t), nil))
			require.NoError(t, err)
			challenge := parse(t, out)
			require.EqualValues(t, 1, challenge.State)

			message := authenticate(t, challenge.Token, secret)
			security := clientSecurity(t, challenge.Token, message)
			mic := security.Sign(i.list)
			if tc.mic != nil {
				mic = tc.mic(mic)
			}
			out, done, err := ctx.Accept(negTokenResp(t, message, mic))
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, tc.want == nil, done)
			require.Equal(t, done, ctx.Seen().MIC)
			if done {
				answer := parse(t, out)
				require.Zero(t, answer.State)
				require.NoError(t, security.Verify(i.list, answer.MIC))
			}
		})
	}
}

func TestSelectNTLMWithoutOffer(t *testing.T) {
	l := newLab(t)
	i := l.initiator(t)
	i.mechs = []asn1.ObjectIdentifier{oidKrb5}
	_, _, err := withNTLM(l, spnegoserver.Faults{SelectNTLM: true}).NewContext(nil).Accept(i.token())
	require.ErrorIs(t, err, spnegoserver.ErrNoCommonMech)
}
