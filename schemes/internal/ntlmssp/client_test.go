package ntlmssp_test

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

// answer runs an exchange and returns the last message, taken apart, its
// AV_PAIRs, and what the server says of it.
func answer(t *testing.T, c ntlmssp.Config, challenge []byte) (authenticate, map[uint16]string, error) {
	t.Helper()
	client := newClient(t, c)
	message, err := client.Authenticate(challenge)
	require.NoError(t, err)
	m := parseAuthenticate(t, message)
	pairs, err := m.pairs()
	require.NoError(t, err)
	return m, pairs, server{password: c.Credentials.Password.Reveal()}.verify(client.Negotiate(), challenge, message)
}

func TestUserNames(t *testing.T) {
	for _, tc := range []struct{ desc, username, user, domain string }{
		{"domain", `LAB\bob`, "bob", "LAB"},
		{"DNS domain", `lab.example.com\bob`, "bob", "lab.example.com"},
		{"user principal name", "bob@lab.example.com", "bob@lab.example.com", ""},
		{"domain and user principal name", `LAB\bob@x`, "bob@x", "LAB"},
		{"plain", "bob", "bob", "CORP"},
		{"domain left empty", `\bob`, "bob", ""},
		{"this computer", `.\bob`, "bob", "."},
		{"a second backslash", `LAB\bob\x`, `bob\x`, "LAB"},
		{"umlaut", `LAB\jörg`, "jörg", "LAB"},
		{"beyond the Basic Multilingual Plane", "bob𝄞", "bob𝄞", "CORP"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			c := config(tc.username, "pässwörd €")
			c.Domain = "CORP"
			m, _, err := answer(t, c, challenge(serverFlags, modern))
			require.NoError(t, err)
			require.Equal(t, tc.user, m.user)
			require.Equal(t, tc.domain, m.domain)
			require.Empty(t, m.workstation)
		})
	}
}

func TestCredentialsThatCannotBeSent(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		change func(*ntlmssp.Config)
	}{
		{"no user name", func(c *ntlmssp.Config) { c.Credentials.Username = "" }},
		{"no user name behind the domain", func(c *ntlmssp.Config) { c.Credentials.Username = `sesame\` }},
		{"NUL in the user name", func(c *ntlmssp.Config) { c.Credentials.Username = "sesame\x00" }},
		{"line feed in the domain", func(c *ntlmssp.Config) { c.Credentials.Username = "sesame\n\\bob" }},
		{"user name not UTF-8", func(c *ntlmssp.Config) { c.Credentials.Username = "sesame\xff" }},
		{"user name too long", func(c *ntlmssp.Config) { c.Credentials.Username = strings.Repeat("sesame", 1000) }},
		{"control in the default domain", func(c *ntlmssp.Config) { c.Domain = "sesame\r" }},
		{"control in the workstation", func(c *ntlmssp.Config) { c.Workstation = "sesame\r" }},
		{"target name too long", func(c *ntlmssp.Config) { c.TargetName = strings.Repeat("sesame", 1000) }},
		{"password not UTF-8", func(c *ntlmssp.Config) { c.Credentials.Password = proxyauth.NewSecret("sesame\xff") }},
		{"hash too short", func(c *ntlmssp.Config) { *c = hashConfig("00") }},
		{"hash too long", func(c *ntlmssp.Config) { *c = hashConfig(vectorNTHash + "00") }},
		{"hash not hexadecimal", func(c *ntlmssp.Config) { *c = hashConfig("sesame") }},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			c := config("bob", "s3cret")
			tc.change(&c)
			_, err := ntlmssp.New(c)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "sesame")
		})
	}
}

func hashConfig(hash string) ntlmssp.Config {
	c := config("bob", hash)
	c.PasswordIsHash = true
	return c
}

func TestPasswordIsHash(t *testing.T) {
	for _, hash := range []string{vectorNTHash, strings.ToUpper(vectorNTHash)} {
		client := newClient(t, hashConfig(hash))
		ch := challenge(serverFlags, modern)
		message, err := client.Authenticate(ch)
		require.NoError(t, err)
		require.NoError(t, server{password: vectorPassword, requireMIC: true}.verify(client.Negotiate(), ch, message))
	}
}

func TestEmptyPassword(t *testing.T) {
	_, _, err := answer(t, config("bob", ""), challenge(serverFlags, modern))
	require.NoError(t, err)
}

func TestNegotiateMessage(t *testing.T) {
	for _, tc := range []struct {
		sign bool
		want uint32
	}{
		// UNICODE, REQUEST_TARGET, NTLM, ALWAYS_SIGN, EXTENDED_SESSIONSECURITY,
		// TARGET_INFO, VERSION, 128, 56; not KEY_EXCH, LM_KEY, OEM.
		{false, 0xa2888205},
		{true, 0xa2888205 | signFlag},
	} {
		c := config("bob", "s3cret")
		c.Sign = tc.sign
		message := newClient(t, c).Negotiate()
		require.Equal(t, "NTLMSSP\x00\x01\x00\x00\x00", string(message[:12]))
		require.Equal(t, tc.want, binary.LittleEndian.Uint32(message[12:]))
		require.Equal(t, unhex(t, "0000000028000000"+"0000000028000000"+"0601b11d0000000f"), message[16:])
	}
}

// A server that sends its time gets what extended protection asks for.
func TestExtendedProtection(t *testing.T) {
	c := config("bob", "s3cret")
	c.ChannelBinding = []byte("tls-server-end-point:abc")
	m, pairs, err := answer(t, c, challenge(serverFlags, modern))
	require.NoError(t, err)
	require.Equal(t, make([]byte, 24), m.lm)
	require.NotEqual(t, make([]byte, 16), m.mic)
	require.Empty(t, m.sessionKey)
	structure := "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x18\x00\x00\x00tls-server-end-point:abc"
	bindings := md5.Sum([]byte(structure))
	require.Equal(t, map[uint16]string{
		1:  wide("PROXY"),
		2:  wide("LAB"),
		6:  "\x02\x00\x00\x00",
		7:  "\x01\x02\x03\x04\x05\x06\x07\x08",
		9:  wide("HTTP/proxy.example.com"),
		10: string(bindings[:]),
	}, pairs)
	require.Equal(t, []byte{1, 2, 3, 4, 5, 6, 7, 8}, m.nt[24:32])
}

func TestNoChannelBindingIsZero(t *testing.T) {
	_, pairs, err := answer(t, config("bob", "s3cret"), challenge(serverFlags, modern))
	require.NoError(t, err)
	require.Equal(t, string(make([]byte, 16)), pairs[10])
}

// A server that doesn't send its time gets an LMv2 response, no MIC, and the
// client's time.
func TestServerWithoutTimestamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at midnight of 1 January 2000
		m, pairs, err := answer(t, config("bob", "s3cret"), challenge(serverFlags, ancient))
		require.NoError(t, err)
		require.Len(t, m.lm, 24)
		require.NotEqual(t, make([]byte, 24), m.lm)
		require.Equal(t, m.nt[32:40], m.lm[16:], "one client challenge")
		require.Equal(t, make([]byte, 16), m.mic)
		require.NotContains(t, pairs, uint16(6))
		require.Equal(t, uint64(125911584000000000), binary.LittleEndian.Uint64(m.nt[24:]))
	})
}

func TestFlagsThatWereNotOfferedAreNotAgreed(t *testing.T) {
	m, _, err := answer(t, config("bob", "s3cret"), challenge(0xffffffff, modern))
	require.NoError(t, err)
	require.Equal(t, uint32(0xa2888205), m.flags)
	require.Equal(t, unhex(t, "0601b11d0000000f"), m.version)

	m, _, err = answer(t, config("bob", "s3cret"), challenge(unicodeFlag|targetInfoFlag, modern))
	require.NoError(t, err)
	require.EqualValues(t, unicodeFlag|targetInfoFlag, m.flags)
	require.Equal(t, make([]byte, 8), m.version)
}

func TestWorkstation(t *testing.T) {
	c := config("bob", "s3cret")
	c.Workstation = "LÄPTOP"
	m, _, err := answer(t, c, challenge(serverFlags, modern))
	require.NoError(t, err)
	require.Equal(t, "LÄPTOP", m.workstation)
}

func TestEachAnswerHasItsOwnClientChallenge(t *testing.T) {
	one, _, _ := answer(t, config("bob", "s3cret"), challenge(serverFlags, modern))
	two, _, _ := answer(t, config("bob", "s3cret"), challenge(serverFlags, modern))
	require.NotEqual(t, one.nt[32:40], two.nt[32:40])
}

func TestEachFlippedBitIsRefused(t *testing.T) {
	client := newClient(t, config(`LAB\bob`, "s3cret"))
	ch := challenge(serverFlags, modern)
	message, err := client.Authenticate(ch)
	require.NoError(t, err)
	messages := [][]byte{client.Negotiate(), ch, message}
	s := server{password: "s3cret", requireMIC: true}
	require.NoError(t, s.verify(messages[0], messages[1], messages[2]))
	for i := range messages {
		for bit := range 8 * len(messages[i]) {
			messages[i][bit/8] ^= 1 << (bit % 8)
			require.Error(t, s.verify(messages[0], messages[1], messages[2]), "message %d, bit %d", i+1, bit)
			messages[i][bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestAClientAnswersOnce(t *testing.T) {
	client := newClient(t, config("bob", "s3cret"))
	_, err := client.Authenticate(challenge(serverFlags, modern))
	require.NoError(t, err)
	_, err = client.Authenticate(challenge(serverFlags, modern))
	require.Error(t, err)
}

func TestChallengeIsLeftAsItIs(t *testing.T) {
	info := slices.Concat(pair(9, "x"), names, pair(10, "y"), timestamp, pair(6, "\x01\x00\x00\x00"), end)
	ch := challenge(serverFlags, info)
	before := slices.Clone(ch)
	_, err := newClient(t, config("bob", "s3cret")).Authenticate(ch)
	require.NoError(t, err)
	require.Equal(t, before, ch)
}

func TestFormattingShowsNoKeys(t *testing.T) {
	client := newClient(t, hashConfig(vectorNTHash))
	_, err := client.Authenticate(challenge(serverFlags, modern))
	require.NoError(t, err)
	holder := struct{ c *ntlmssp.Client }{client}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		require.Equal(t, "NTLM client", fmt.Sprintf(verb, client))
		require.NotContains(t, fmt.Sprintf(verb, holder), hex.EncodeToString(client.SessionKey()))
		require.Equal(t, "NTLM signer", fmt.Sprintf(verb, ntlmssp.NewSigner(client.SessionKey())))
	}
}

// MD4 and MD5 panic where only approved functions are allowed.
func TestFIPSOnlyModeIsRefused(t *testing.T) {
	const mode = "fips140=only"
	if !strings.Contains(os.Getenv("GODEBUG"), mode) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPSOnlyModeIsRefused$")
		cmd.Env = append(os.Environ(), "GODEBUG="+mode)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	_, err := ntlmssp.New(config("bob", "s3cret"))
	require.ErrorContains(t, err, "FIPS")
}
