package ntlmssp_test

import (
	"crypto/rc4"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

// The values of MS-NLMP, Section 4.2.1, Common Values, and Section 4.2.4, NTLMv2
// Authentication.
const (
	vectorUser            = `Domain\User`
	vectorPassword        = "Password"
	vectorServerChallenge = "0123456789abcdef"
	vectorClientChallenge = "aaaaaaaaaaaaaaaa"
	vectorTargetInfo      = "02000c0044006f006d00610069006e00" + "01000c00530065007200760065007200" + "00000000"
	vectorRandomKey       = "55555555555555555555555555555555"
	vectorNTHash          = "a4f49c406510bdcab6824ee7c30fd852"
	vectorResponseKey     = "0c868a403bfd7a93a3001ef22ef02e3f"
	vectorSessionBaseKey  = "8de40ccadbc14a82f15cb0ad0de95ca3"
	vectorLMv2            = "86c35097ac9cec102554764a57cccc19" + "aaaaaaaaaaaaaaaa"
	vectorProof           = "68cd0ab851e51c96aabc927bebef6a1c"
	vectorTemp            = "0101000000000000" + "0000000000000000" + "aaaaaaaaaaaaaaaa" + "00000000" + vectorTargetInfo + "00000000"
	vectorEncryptedKey    = "c5dad2544fc9799094ce1ce90bc9d03e"
	vectorSealKey         = "59f600973cc4960a25480a7c196e4c58"
	vectorPlaintext       = "50006c00610069006e007400650078007400"
	vectorSealed          = "54e50165bf1936dc996020c1811b0f06fb5f"
	vectorChecksum        = "7fb38ec5c55d4976"
	vectorChallenge       = "4e544c4d53535000" + "02000000" + "0c000c0038000000" + "33828ae2" + vectorServerChallenge +
		"0000000000000000" + "2400240044000000" + "060070170000000f" + "530065007200760065007200" + vectorTargetInfo
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestNLMPNTHash(t *testing.T) {
	require.Equal(t, unhex(t, vectorNTHash), ntlmssp.NTHash(vectorPassword))
}

func TestNLMPResponses(t *testing.T) {
	key, err := ntlmssp.ResponseKey(vectorUser, vectorPassword)
	require.NoError(t, err)
	require.Equal(t, unhex(t, vectorResponseKey), key)

	server, client := [8]byte(unhex(t, vectorServerChallenge)), [8]byte(unhex(t, vectorClientChallenge))
	nt, lm, sessionKey, err := ntlmssp.Responses(key, server, client, unhex(t, vectorTargetInfo))
	require.NoError(t, err)
	require.Equal(t, unhex(t, vectorProof+vectorTemp), nt)
	require.Equal(t, unhex(t, vectorLMv2), lm)
	require.Equal(t, unhex(t, vectorSessionBaseKey), sessionKey)
}

// The document's example exchanges keys, which a Client does not offer; with the
// session base key, its encrypted key becomes its random one.
func TestNLMPSessionBaseKeyDecryptsTheExchangedKey(t *testing.T) {
	require.Equal(t, unhex(t, vectorRandomKey), rc4Stream(t, vectorSessionBaseKey, vectorEncryptedKey))
}

// In the document's example the checksum is encrypted behind the message, with
// the same RC4 stream, since keys are exchanged.
func TestNLMPSignature(t *testing.T) {
	stream := rc4Stream(t, vectorSealKey, vectorSealed+vectorChecksum)
	plaintext, checksum := stream[:18], stream[18:]
	require.Equal(t, unhex(t, vectorPlaintext), plaintext)

	signature := ntlmssp.NewSigner(unhex(t, vectorRandomKey)).Sign(plaintext)
	require.Equal(t, "01000000"+hex.EncodeToString(checksum)+"00000000", hex.EncodeToString(signature))
}

func rc4Stream(t *testing.T, key, text string) []byte {
	t.Helper()
	c, err := rc4.NewCipher(unhex(t, key))
	require.NoError(t, err)
	out := unhex(t, text)
	c.XORKeyStream(out, out)
	return out
}

// The document's challenge has no timestamp: LMv2 is sent, a MIC is not.
func TestNLMPChallengeIsAnswered(t *testing.T) {
	challenge := unhex(t, vectorChallenge)
	c := newClient(t, config(vectorUser, vectorPassword))
	message, err := c.AuthenticateWith(challenge, [8]byte(unhex(t, vectorClientChallenge)))
	require.NoError(t, err)

	got := parseAuthenticate(t, message)
	require.Equal(t, unhex(t, vectorLMv2), got.lm)
	require.Equal(t, make([]byte, 16), got.mic)
	require.Equal(t, "Domain", got.domain)
	require.Equal(t, "User", got.user)
	require.NoError(t, server{password: vectorPassword}.verify(c.Negotiate(), challenge, message))
}
