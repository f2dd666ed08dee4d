package ntlmssp_test

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testdata/samba-4.17.txt is an exchange that Samba 4.17's ntlm_auth (as squid's
// helper, squid-2.5-ntlmssp) accepted: what was sent to it and what it answered,
// line by line. It checks the MIC: with one bit of it flipped, it refuses the
// message.
func TestAnswerIsTheOneThatSambaAccepted(t *testing.T) {
	const username, password = `LAB\jörg`, "pässwörd €"
	data, err := os.ReadFile("testdata/samba-4.17.txt")
	require.NoError(t, err)
	lines := strings.Split(string(data), "\n")
	require.Equal(t, `AF LAB\jörg`, lines[3])

	client := newClient(t, config(username, password))
	require.Equal(t, lines[0], "YR "+base64.StdEncoding.EncodeToString(client.Negotiate()))

	challenge, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "TT "))
	require.NoError(t, err)
	message, err := client.AuthenticateWith(challenge, [8]byte(unhex(t, vectorClientChallenge)))
	require.NoError(t, err)
	require.Equal(t, lines[2], "KK "+base64.StdEncoding.EncodeToString(message))
}
