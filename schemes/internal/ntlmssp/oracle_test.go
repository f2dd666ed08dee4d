package ntlmssp_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/cryptotest"

	azure "github.com/Azure/go-ntlmssp"
	"github.com/stretchr/testify/require"
)

// Where the server's target info already has what the client puts into it, the
// answer is that of go-ntlmssp but for the LM response, version and MIC.
func TestAnswerIsThatOfGoNTLMSSP(t *testing.T) {
	ours := slices.Concat(pair(6, "\x02\x00\x00\x00"), pair(10, string(make([]byte, 16))),
		pair(9, wide("HTTP/proxy.example.com")), end)
	ch := challenge(serverFlags, slices.Concat(names, timestamp, ours))
	for _, tc := range []struct{ desc, username, password string }{
		{"domain", `LAB\bob`, "s3cret"},
		{"user principal name", "bob@lab.example.com", "s3cret"},
		{"plain", "bob", "s3cret"},
		{"Unicode", `LAB\jörg`, "pässwörd €𝄞"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			message, err := azure.NewAuthenticateMessage(ch, tc.username, tc.password, nil)
			require.NoError(t, err)
			want, err := readAuthenticate(widen(message))
			require.NoError(t, err)

			cryptotest.SetGlobalRandom(t, 1)
			got, _, err := answer(t, config(tc.username, tc.password), ch)
			require.NoError(t, err)
			require.Equal(t, want.nt, got.nt)
			require.Equal(t, want.user, got.user)
			require.Equal(t, want.domain, got.domain)
			require.Equal(t, want.workstation, got.workstation)
		})
	}
}

// widen puts an empty version and MIC into a message that has no room for them.
func widen(message []byte) []byte {
	const header, more = 64, 24
	m := slices.Insert(slices.Clone(message), header, make([]byte, more)...)
	for at := 12; at < 60; at += 8 {
		offset := binary.LittleEndian.Uint32(m[at+4:])
		binary.LittleEndian.PutUint32(m[at+4:], offset+more)
	}
	return m
}
