package ntlmssp_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

// A badChallenge is a CHALLENGE_MESSAGE that must be refused.
type badChallenge struct {
	desc        string
	message     []byte
	unsupported bool
}

func badChallenges() []badChallenge {
	good := challenge(serverFlags, modern)
	patch := func(at int, b ...byte) []byte {
		m := slices.Clone(good)
		copy(m[at:], b)
		return m
	}
	info := func(pairs ...[]byte) []byte { return challenge(serverFlags, slices.Concat(pairs...)) }
	many := []byte{}
	for id := range uint16(100) {
		many = append(many, pair(100+id, "")...)
	}
	return []badChallenge{
		{"empty", nil, false},
		{"64 KiB", slices.Concat(good, make([]byte, 64<<10)), false},
		{"a byte too long", slices.Concat(good, make([]byte, ntlmssp.MaxChallengeSize+1-len(good))), false},
		{"wrong signature", patch(0, 'n'), false},
		{"negotiate message", patch(8, 1), false},
		{"authenticate message", patch(8, 3), false},
		{"type in the wrong byte order", patch(8, 0, 0, 0, 2), false},
		{"no Unicode", challenge(serverFlags&^unicodeFlag, modern), true},
		{"neither target info nor extended session security", challenge(serverFlags&^targetInfoFlag&^extendedFlag, nil), true},
		{"target name behind the end", patch(16, 0xff, 0xff), false},
		{"target name in the header", patch(16, 47), false},
		{"target name longer than the message", patch(12, 0xff, 0xff), false},
		{"target info behind the end", patch(44, 0xff, 0xff, 0xff, 0xff), false},
		{"target info one byte behind the end", patch(44, good[44]+1), false},
		{"target info in the header", patch(44, 32, 0, 0, 0), false},
		{"target info longer than the message", patch(40, 0xff, 0xff), false},
		{"offset and length overflow", patch(40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), false},
		{"target name and info overlap", patch(16, good[44]), false},
		{"target info without end", info(names, timestamp), false},
		{"target info with half a header at its end", info(names, []byte{0, 0}), false},
		{"pair longer than the target info", info(names, []byte{3, 0, 200, 0}, end), false},
		{"pair of maximum length", info(names, []byte{3, 0, 0xff, 0xff}, end), false},
		{"end with a value", info(names, pair(0, "x"), end), false},
		{"timestamp too short", info(names, pair(7, "1234"), end), false},
		{"timestamp too long", info(names, pair(7, "123456789"), end), false},
		{"timestamp empty", info(names, pair(7, ""), end), false},
		{"flags too short", info(names, pair(6, "\x02"), timestamp, end), false},
		{"100 pairs", info(many, end), false},
	}
}

func TestMalformedChallenges(t *testing.T) {
	for _, tc := range badChallenges() {
		t.Run(tc.desc, func(t *testing.T) {
			requireRefused(t, tc.message, tc.unsupported)
		})
	}
}

func TestTruncatedChallenges(t *testing.T) {
	good := challenge(serverFlags, modern)
	for size := range good {
		requireRefused(t, good[:size], false)
	}
}

func requireRefused(t *testing.T, message []byte, unsupported bool) {
	t.Helper()
	client := newClient(t, config("sesame", "sesame"))
	_, err := client.Authenticate(message)
	require.Error(t, err)
	require.True(t, strings.HasPrefix(err.Error(), "proxyauth: "), err.Error())
	require.NotContains(t, err.Error(), "sesame")
	if unsupported {
		require.ErrorIs(t, err, proxyauth.ErrUnsupportedChallenge)
	} else {
		require.NotErrorIs(t, err, proxyauth.ErrUnsupportedChallenge)
	}
	require.Nil(t, client.SessionKey())
}

// What servers do that the specification doesn't have in mind.
func TestLenience(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		change func([]byte) []byte
	}{
		{"maximum lengths mean nothing", func(m []byte) []byte { m[14], m[42] = 0, 0; return m }},
		{"the offset of an empty field means nothing", func(m []byte) []byte {
			copy(m[12:], []byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
			return m
		}},
		{"no version, in spite of its flag", func(m []byte) []byte {
			m[16] -= 8
			m[44] -= 8
			return slices.Delete(m, 48, 56)
		}},
		{"something behind the payload", func(m []byte) []byte { return append(m, 1, 2, 3) }},
		{"zeros behind the end of the target info", func(m []byte) []byte {
			binary.LittleEndian.PutUint16(m[40:], uint16(len(modern)+4))
			return append(m, 0, 0, 0, 0)
		}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			ch := tc.change(challenge(serverFlags, modern))
			_, pairs, err := answer(t, config("bob", "s3cret"), ch)
			require.NoError(t, err)
			require.Equal(t, wide("PROXY"), pairs[1])
		})
	}
}

// NTLMv2 does without the server's target info, and of a pair that is repeated the first
// counts.
func TestUnusualTargetInfo(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		message []byte
		name    string // that the answer repeats
	}{
		{"no flag", challenge(serverFlags&^targetInfoFlag, nil), ""},
		{"denied by the flag", challenge(serverFlags&^targetInfoFlag, modern), ""},
		{"empty", challenge(serverFlags, nil), ""},
		{"a pair twice", challenge(serverFlags, slices.Concat(pair(1, "A\x00"), pair(1, "B\x00"), pair(0, ""))), wide("A")},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			_, pairs, err := answer(t, config("bob", "s3cret"), tc.message)
			require.NoError(t, err)
			require.Equal(t, tc.name, pairs[1])
		})
	}
}

func FuzzAnswerToAnyChallengeIsWellFormed(f *testing.F) {
	for _, tc := range badChallenges() {
		f.Add(tc.message)
	}
	f.Add(challenge(serverFlags, modern))
	f.Add(challenge(serverFlags, ancient))
	f.Add(unhex(f, vectorChallenge))
	f.Fuzz(func(t *testing.T, challenge []byte) {
		client := newClient(t, config(`LAB\bob`, "s3cret"))
		message, err := client.Authenticate(challenge)
		if err != nil {
			return
		}
		_, err = parseAuthenticate(t, message).pairs()
		require.NoError(t, err)
		require.NoError(t, server{password: "s3cret"}.verify(client.Negotiate(), challenge, message))
	})
}
