package spnegoserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

func TestReplies(t *testing.T) {
	l := newLab(t)
	for reply, want := range map[spnegoserver.Reply]string{
		spnegoserver.ReplyGood:        "",
		spnegoserver.ReplyWrongKey:    "wrong key",
		spnegoserver.ReplyWrongTime:   "wrong time",
		spnegoserver.ReplyWrongMicros: "wrong time",
		spnegoserver.ReplyCut:         "no AP-REP",
		spnegoserver.ReplyGarbage:     "no token",
		spnegoserver.ReplyError:       "no AP-REP",
		spnegoserver.ReplyMissing:     "no token",
	} {
		i, srv := l.initiator(t), l.server()
		fault(spnegoserver.Faults{Reply: reply})(srv)
		out, done, err := srv.NewContext(nil).Accept(i.token())
		require.NoError(t, err)
		require.True(t, done)
		_, problem := i.verifyAPRep(parse(t, out).Token)
		require.Equal(t, want, problem, "reply %d", reply)
	}
}

func TestReplyWithoutSPNEGO(t *testing.T) {
	l := newLab(t)
	i, srv := l.initiator(t), l.server()
	srv.Faults = spnegoserver.First(1, spnegoserver.Faults{Reply: spnegoserver.ReplyBare})
	out, done, err := srv.NewContext(nil).Accept(i.token())
	require.NoError(t, err)
	require.True(t, done)
	_, problem := i.verifyAPRep(out)
	require.Empty(t, problem)

	out, _, err = srv.NewContext(nil).Accept(i.token())
	require.NoError(t, err)
	require.NotEmpty(t, parse(t, out).Token, "the second context has no faults")

	fault(spnegoserver.Faults{Reply: spnegoserver.ReplyNone})(srv)
	out, done, err = srv.NewContext(nil).Accept(i.token())
	require.NoError(t, err)
	require.True(t, done)
	require.Nil(t, out)
}

func TestOmissions(t *testing.T) {
	l := newLab(t)
	i, srv := l.initiator(t), l.server()
	fault(spnegoserver.Faults{OmitNegState: true, OmitMech: true})(srv)
	out, done, err := srv.NewContext(nil).Accept(i.token())
	require.NoError(t, err)
	require.True(t, done)
	answer := parse(t, out)
	require.Equal(t, noState, answer.State)
	require.Nil(t, answer.Mech)
	_, problem := i.verifyAPRep(answer.Token)
	require.Empty(t, problem)
}

func TestExtraLegs(t *testing.T) {
	l := newLab(t)
	i, srv := l.initiator(t), l.server()
	fault(spnegoserver.Faults{ExtraLegs: 2})(srv)
	ctx := srv.NewContext(nil)
	out, done, err := ctx.Accept(i.token())
	for range 2 {
		require.NoError(t, err)
		require.False(t, done)
		require.EqualValues(t, 1, parse(t, out).State)
		out, done, err = ctx.Accept(negTokenResp(t, nil, nil))
	}
	require.NoError(t, err)
	require.True(t, done)
	require.Zero(t, parse(t, out).State)
}

func TestLegsAreBounded(t *testing.T) {
	l := newLab(t)
	i, srv := l.initiator(t), l.server()
	fault(spnegoserver.Faults{ExtraLegs: 100})(srv)
	ctx := srv.NewContext(nil)
	_, _, err := ctx.Accept(i.token())
	for err == nil {
		_, _, err = ctx.Accept(negTokenResp(t, nil, nil))
	}
	require.ErrorIs(t, err, spnegoserver.ErrSequence)
	require.Equal(t, 16, ctx.Seen().Tokens)
}

func TestRejectAndGarbage(t *testing.T) {
	l := newLab(t)
	i, srv := l.initiator(t), l.server()
	fault(spnegoserver.Faults{Reject: true})(srv)
	out, done, err := srv.NewContext(nil).Accept(i.token())
	require.ErrorIs(t, err, spnegoserver.ErrRejected)
	require.False(t, done)
	require.Equal(t, resp{State: 2}, parse(t, out))

	fault(spnegoserver.Faults{Garbage: true})(srv)
	ctx := srv.NewContext(nil)
	out, done, err = ctx.Accept(i.token())
	require.NoError(t, err)
	require.False(t, done)
	require.NotEmpty(t, out)
	_, _, err = ctx.Accept(i.token())
	require.ErrorIs(t, err, spnegoserver.ErrSequence)
}

func TestServersMIC(t *testing.T) {
	l := newLab(t, kdc.AES256SHA1)
	micOf := func(f spnegoserver.Faults) []byte {
		f.RequestMIC = true
		i, srv := l.initiator(t), l.server()
		fault(f)(srv)
		out, _, err := srv.NewContext(nil).Accept(i.token())
		require.NoError(t, err)
		return parse(t, out).MIC
	}
	require.Len(t, micOf(spnegoserver.Faults{}), 16+12)
	require.Len(t, micOf(spnegoserver.Faults{WrongMIC: true}), 16+12)
	require.Nil(t, micOf(spnegoserver.Faults{NoMIC: true}))
}

func TestNoMICWithRC4(t *testing.T) {
	l := newLab(t, kdc.RC4)
	i, srv := l.initiator(t), l.server()
	fault(spnegoserver.Faults{RequestMIC: true})(srv)
	_, _, err := srv.NewContext(nil).Accept(i.token())
	require.ErrorIs(t, err, spnegoserver.ErrMICUnsupported)
}
