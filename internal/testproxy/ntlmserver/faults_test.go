package ntlmserver_test

import (
	"testing"

	"github.com/Azure/go-ntlmssp"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

// challengeWith returns the challenge of a server with faults.
func challengeWith(t *testing.T, faults ntlmserver.Faults) []byte {
	t.Helper()
	srv := newServer()
	srv.Faults = ntlmserver.Always(faults)
	challenge, done, err := srv.NewContext(nil).Accept(ann().negotiate())
	require.NoError(t, err)
	require.False(t, done)
	return challenge
}

func TestFaultyChallenges(t *testing.T) {
	whole := challengeWith(t, 0)
	for _, tt := range []struct {
		desc   string
		faults ntlmserver.Faults
		check  func(t *testing.T, msg []byte)
	}{
		{"truncated", ntlmserver.TruncatedChallenge, func(t *testing.T, msg []byte) {
			require.Len(t, msg, 28)
		}},
		{"oversized", ntlmserver.OversizedChallenge, func(t *testing.T, msg []byte) {
			require.Len(t, msg, len(whole)+128<<10)
		}},
		{"oversized target info", ntlmserver.OversizedTargetInfo, func(t *testing.T, msg []byte) {
			require.Equal(t, uint16(0xffff), le.Uint16(msg[40:]))
			require.Len(t, msg, int(le.Uint32(msg[44:]))+0xffff)
			require.Len(t, infoOf(msg), 7)
		}},
		{"garbage", ntlmserver.GarbageChallenge, func(t *testing.T, msg []byte) {
			require.Equal(t, whole[:12], msg[:12])
			require.NotContains(t, msg[12:], byte(0))
		}},
		{"wrong signature", ntlmserver.WrongSignature, func(t *testing.T, msg []byte) {
			require.NotEqual(t, "NTLMSSP\x00", string(msg[:8]))
		}},
		{"wrong type", ntlmserver.WrongType, func(t *testing.T, msg []byte) {
			require.Equal(t, uint32(3), le.Uint32(msg[8:]))
		}},
		{"lying target info", ntlmserver.LyingTargetInfo, func(t *testing.T, msg []byte) {
			require.EqualValues(t, len(msg), le.Uint32(msg[44:]))
		}},
		{"broken target info", ntlmserver.BrokenTargetInfo, func(t *testing.T, msg []byte) {
			require.Equal(t, []byte{5, 0, 0xf0, 0xff}, msg[len(msg)-4:])
		}},
		{"no target info", ntlmserver.NoTargetInfo, func(t *testing.T, msg []byte) {
			require.Zero(t, le.Uint16(msg[40:]))
			require.Zero(t, le.Uint32(msg[20:])&ntlmserver.FlagTargetInfo)
		}},
		{"no timestamp", ntlmserver.NoTimestamp, func(t *testing.T, msg []byte) {
			require.Equal(t, []uint16{2, 1, 4, 3, 5}, infoOf(msg))
		}},
		{"NTLMv1 only", ntlmserver.NTLMv1Only, func(t *testing.T, msg []byte) {
			flags := le.Uint32(msg[20:])
			require.NotZero(t, flags&ntlmserver.FlagLMKey)
			require.Zero(t, flags&(ntlmserver.FlagExtendedSessionSecurity|ntlmserver.FlagTargetInfo))
		}},
		{"OEM only", ntlmserver.OEMOnly, func(t *testing.T, msg []byte) {
			require.Equal(t, ntlmserver.FlagOEM, le.Uint32(msg[20:])&3)
			require.Equal(t, "CORP", string(msg[56:60]))
		}},
	} {
		t.Run(tt.desc, func(t *testing.T) { tt.check(t, challengeWith(t, tt.faults)) })
	}
	require.Equal(t, []uint16{2, 1, 4, 3, 5, 7}, infoOf(whole))
	require.Equal(t, epoch, whole[len(whole)-12:len(whole)-4])
}

// TestFaultsStopSampleClient has the faults that every client must refuse.
func TestFaultsStopSampleClient(t *testing.T) {
	for _, faults := range []ntlmserver.Faults{
		ntlmserver.TruncatedChallenge, ntlmserver.GarbageChallenge, ntlmserver.WrongSignature,
		ntlmserver.WrongType, ntlmserver.LyingTargetInfo, ntlmserver.BrokenTargetInfo,
		ntlmserver.NTLMv1Only, ntlmserver.OEMOnly,
	} {
		_, err := ntlmssp.NewAuthenticateMessage(challengeWith(t, faults), "ann", "s3cret", nil)
		require.Error(t, err, "%b", faults)
	}
}

// TestFaultsCombine is for the ones that change the message's length: none may
// trip over another.
func TestFaultsCombine(t *testing.T) {
	step := ntlmserver.Faults(sample.Size(31, 1)) // odd, so that each fault comes with each other
	for faults := ntlmserver.Faults(0); faults < ntlmserver.ChallengeTwice; faults += step {
		require.NotEmpty(t, challengeWith(t, faults))
	}
}

func TestChallengeTwice(t *testing.T) {
	srv, c := newServer(), ann()
	srv.RequireMIC = true
	srv.Faults = ntlmserver.Always(ntlmserver.ChallengeTwice)
	ctx := srv.NewContext(nil)
	first, _, err := ctx.Accept(c.negotiate())
	require.NoError(t, err)
	second, done, err := ctx.Accept(c.authenticate(c.negotiate(), first))
	require.NoError(t, err)
	require.False(t, done)
	require.NotEqual(t, first, second)
	_, done, err = ctx.Accept(c.authenticate(c.negotiate(), second))
	require.NoError(t, err)
	require.True(t, done)
}

func TestAcceptWithoutChallenge(t *testing.T) {
	srv := newServer()
	srv.Faults = ntlmserver.Always(ntlmserver.AcceptWithoutChallenge)
	ctx := srv.NewContext(nil)
	out, done, err := ctx.Accept(ann().negotiate())
	require.NoError(t, err)
	require.True(t, done)
	require.Nil(t, out)
	require.Empty(t, ctx.User())
	_, err = ctx.Security()
	require.ErrorIs(t, err, ntlmserver.ErrNoSessionSecurity)
}

func TestForgetOnce(t *testing.T) {
	srv := newServer()
	srv.Faults = ntlmserver.First(1, ntlmserver.Forget)
	_, err := handshake(t, srv, ann())
	require.ErrorIs(t, err, ntlmserver.ErrNoChallenge)
	_, err = handshake(t, srv, ann())
	require.NoError(t, err)
}

// infoOf returns the identifiers of a challenge's AV pairs.
func infoOf(msg []byte) (ids []uint16) {
	_, _, pairs := readChallenge(msg)
	for _, p := range pairs {
		ids = append(ids, p.id)
	}
	return ids
}
