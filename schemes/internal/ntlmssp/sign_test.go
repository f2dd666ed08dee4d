package ntlmssp_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

// signed runs an exchange and returns its client.
func signed(t *testing.T, sign bool, flags uint32) *ntlmssp.Client {
	t.Helper()
	c := config("bob", "s3cret")
	c.Sign = sign
	client := newClient(t, c)
	_, err := client.Authenticate(challenge(flags, modern))
	require.NoError(t, err)
	return client
}

// serverSign signs as a server does.
func serverSign(sessionKey []byte, sequence uint32, message string) []byte {
	key := md5Sum(string(sessionKey) + "session key to server-to-client signing key magic constant\x00")
	seq := string(binary.LittleEndian.AppendUint32(nil, sequence))
	return slices.Concat([]byte{1, 0, 0, 0}, hmacMD5(key, seq+message)[:8], []byte(seq))
}

func TestSignerCountsMessages(t *testing.T) {
	signer, err := signed(t, true, serverFlags|signFlag).Signer()
	require.NoError(t, err)
	one, two := signer.Sign([]byte("x")), signer.Sign([]byte("x"))
	require.Len(t, one, ntlmssp.SignatureSize)
	require.EqualValues(t, 0, binary.LittleEndian.Uint32(one[12:]))
	require.EqualValues(t, 1, binary.LittleEndian.Uint32(two[12:]))
	require.NotEqual(t, one[4:12], two[4:12])
}

func TestSignerVerifiesTheServer(t *testing.T) {
	client := signed(t, true, serverFlags|signFlag)
	signer, err := client.Signer()
	require.NoError(t, err)
	first := serverSign(client.SessionKey(), 0, "x")
	second := serverSign(client.SessionKey(), 1, "y")

	require.Error(t, signer.Verify([]byte("y"), second), "out of order")
	require.Error(t, signer.Verify([]byte("y"), first), "another message")
	require.Error(t, signer.Verify([]byte("x"), nil))
	require.Error(t, signer.Verify([]byte("x"), first[:15]))
	require.Error(t, signer.Verify([]byte("x"), signer.Sign([]byte("x"))), "reflected")
	require.NoError(t, signer.Verify([]byte("x"), first))
	require.Error(t, signer.Verify([]byte("x"), first), "replayed")
	require.NoError(t, signer.Verify([]byte("y"), second))
}

func TestSignerNeedsSessionSecurity(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		client *ntlmssp.Client
	}{
		{"before the exchange", newClient(t, config("bob", "s3cret"))},
		{"not asked for", signed(t, false, serverFlags|signFlag)},
		{"not agreed to", signed(t, true, serverFlags)},
		{"without extended session security", signed(t, true, (serverFlags|signFlag)&^extendedFlag)},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			_, err := tc.client.Signer()
			require.Error(t, err)
		})
	}
}
