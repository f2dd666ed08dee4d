package ntlmserver_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/stretchr/testify/require"
)

// The AUTHENTICATE of MS-NLMP, Section 4.2.4.3: User of Domain on COMPUTER, with
// the password "Password", at time 0, and a session key of 0x55.
const vectorAuthenticate = `
4e544c4d53535000 03000000 180018006c000000 5400540084000000 0c000c0048000000
0800080054000000 100010005c000000 10001000d8000000 358288e2 0501280a0000000f
44006f006d00610069006e00 5500730065007200 43004f004d0050005500540045005200
86c35097ac9cec102554764a57cccc19 aaaaaaaaaaaaaaaa
68cd0ab851e51c96aabc927bebef6a1c
01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000
02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000 00000000
c5dad2544fc9799094ce1ce90bc9d03e`

// vectorServer is the server of MS-NLMP, Section 4.2.1.
func vectorServer() *ntlmserver.Server {
	return &ntlmserver.Server{
		Users:        map[string]string{"User": "Password"},
		Domain:       "Domain",
		Computer:     "Server",
		Now:          func() time.Time { return time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC) },
		NewChallenge: func() [8]byte { return [8]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef} },
		Faults:       ntlmserver.Always(ntlmserver.NoTimestamp),
	}
}

func TestVectorMessages(t *testing.T) {
	ctx := vectorServer().NewContext(nil)
	challenge, _, err := ctx.Accept(ann().negotiate())
	require.NoError(t, err)
	require.Equal(t, unhex(t, "02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000"),
		challenge[len(challenge)-36:])
	require.Equal(t, unhex(t, "0123456789abcdef"), challenge[24:32])

	_, done, err := ctx.Accept(unhex(t, vectorAuthenticate))
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, "User", ctx.User())
	require.Equal(t, unhex(t, "55555555555555555555555555555555"), ctx.SessionKey())
	seen := ctx.Seen()
	require.Equal(t, "COMPUTER", seen.Workstation)
	require.Equal(t, ntlmserver.NotEmpty, seen.LM)
	require.False(t, seen.MIC)
}

// TestVectorSessionBaseKey takes the key exchange out of the message, so that the
// session key is the one of Section 4.2.4.1.2.
func TestVectorSessionBaseKey(t *testing.T) {
	msg := unhex(t, vectorAuthenticate)
	msg[63] &^= 0x40
	copy(msg[52:54], []byte{0, 0})
	ctx := vectorServer().NewContext(nil)
	_, _, err := ctx.Accept(ann().negotiate())
	require.NoError(t, err)
	_, _, err = ctx.Accept(msg)
	require.NoError(t, err)
	require.Equal(t, unhex(t, "8de40ccadbc14a82f15cb0ad0de95ca3"), ctx.SessionKey())
}

// The digests of RFC 1320, Appendix A.5.
func TestMD4(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "31d6cfe0d16ae931b73c59d7e0c089c0",
		"a":                          "bde52cb31de33e46245e05fbdbd6fb24",
		"abc":                        "a448017aaf21d8525fc10ae87aa6729d",
		"message digest":             "d9130a8164549fe818874806e1c7014b",
		"abcdefghijklmnopqrstuvwxyz": "d79e1c308aa5bbcdeea8ed63df412da9",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": "043f8582f241db351ce627e153e7f0e4",
		strings.Repeat("1234567890", 8):                                  "e33b4ddc9c38f2199c3e7b164fcc0536",
	} {
		require.Equal(t, unhex(t, want), ntlmserver.MD4([]byte(text)), text)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	require.NoError(t, err)
	return b
}
