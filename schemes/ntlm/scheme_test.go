package ntlm_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// samba is a challenge of Samba 4.17.
const samba = "TlRMTVNTUAACAAAACgAKADgAAAAFgoqilLzXtv+5aq4AAAAAAAAAADgAOABCAAAABgEAAAAAAA9QAFIATwBYAFkAAgAKAFAAUgBPAFgA" +
	"WQABAAoAUABSAE8AWABZAAQAAAADAAQAdgBtAAcACACQoFTCCXrdAQAAAAA="

var (
	bare      = []proxyauth.Challenge{{Scheme: "NTLM"}}
	challenge = []proxyauth.Challenge{{Scheme: "NTLM", Token68: samba}}
)

func exchange(username, password string) proxyauth.Exchange {
	return proxyauth.Exchange{
		Proxy:       &url.URL{Scheme: "http", Host: "proxy.example.com:3128"},
		Credentials: proxyauth.Credentials{Username: username, Password: proxyauth.NewSecret(password)},
	}
}

func newSession(t testing.TB, s *ntlm.Scheme, ex proxyauth.Exchange) proxyauth.Continuer {
	t.Helper()
	session, err := s.NewSession(t.Context(), ex)
	require.NoError(t, err)
	return session.(proxyauth.Continuer)
}

// requireNext gives the session challenges and requires the outcome, without a reason.
func requireNext(t testing.TB, s proxyauth.Continuer, challenges []proxyauth.Challenge, want proxyauth.Next) {
	t.Helper()
	got, err := s.Continue(t.Context(), challenges)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// leg returns the token of the session's next leg, of which there are two.
func leg(t testing.TB, s proxyauth.Session) []byte {
	t.Helper()
	authorization, err := s.Authorization(t.Context(), proxyauth.Leg{Method: "CONNECT", Target: "example.com:443"})
	require.NoError(t, err)
	token, ok := strings.CutPrefix(authorization.Value, "NTLM ")
	require.True(t, ok)
	message, err := base64.StdEncoding.DecodeString(token)
	require.NoError(t, err)
	require.Equal(t, message[8] == 1, authorization.More)
	return message
}

// answer runs a whole exchange and returns the last message.
func answer(t *testing.T, s *ntlm.Scheme, ex proxyauth.Exchange) string {
	t.Helper()
	session := newSession(t, s, ex)
	leg(t, session)
	requireNext(t, session, challenge, proxyauth.GoOn)
	return string(leg(t, session))
}

func wide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

// pair returns an AV_PAIR with a value of less than 256 bytes.
func pair(id byte, value string) string {
	return string([]byte{id, 0, byte(len(value)), 0}) + value
}

func TestScheme(t *testing.T) {
	var s proxyauth.Scheme = &ntlm.Scheme{}
	require.Equal(t, "NTLM", s.Name())
	require.Equal(t, proxyauth.SchemeProperties{BindsConnection: true}, s.(proxyauth.Describer).Properties())
}

func TestExchange(t *testing.T) {
	for _, tc := range []struct {
		desc       string
		challenges []proxyauth.Challenge
	}{
		{"unasked", nil},
		{"asked", bare},
		{"asked by a challenge that continues nothing", challenge},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			ex := exchange(`LAB\ann`, "s3cret")
			ex.Challenges = tc.challenges
			session := newSession(t, &ntlm.Scheme{}, ex)
			require.Equal(t, "NTLMSSP\x00\x01\x00\x00\x00", string(leg(t, session)[:12]))
			requireNext(t, session, challenge, proxyauth.GoOn)
			require.Equal(t, "NTLMSSP\x00\x03\x00\x00\x00", string(leg(t, session)[:12]))
		})
	}
}

func TestSPN(t *testing.T) {
	for _, tc := range []struct {
		desc, proxy, want string
		spn               func(*url.URL) string
	}{
		{desc: "default", proxy: "http://proxy.example.com:3128", want: "HTTP/proxy.example.com"},
		{desc: "fully qualified", proxy: "http://proxy.example.com.:3128", want: "HTTP/proxy.example.com"},
		{desc: "IPv6", proxy: "https://[2001:db8::1]:3128", want: "HTTP/2001:db8::1"},
		{
			desc: "own", proxy: "http://10.0.0.1:3128", want: "HTTP/10.0.0.1.example.com",
			spn: func(proxy *url.URL) string { return "HTTP/" + proxy.Hostname() + ".example.com" },
		},
		{desc: "none", proxy: "http://10.0.0.1:3128", spn: func(*url.URL) string { return "" }},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			ex := exchange("ann", "s3cret")
			var err error
			ex.Proxy, err = url.Parse(tc.proxy)
			require.NoError(t, err)
			require.Contains(t, answer(t, &ntlm.Scheme{SPN: tc.spn}, ex), pair(9, wide(tc.want)))
		})
	}
}

func TestChannelBindings(t *testing.T) {
	leaf := &x509.Certificate{Raw: []byte("leaf"), SignatureAlgorithm: x509.SHA256WithRSA}
	hash := sha256.Sum256(leaf.Raw)
	bound := md5.Sum([]byte(strings.Repeat("\x00", 16) + "\x35\x00\x00\x00" + "tls-server-end-point:" + string(hash[:])))
	none := [md5.Size]byte{}
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	for _, tc := range []struct {
		desc   string
		scheme ntlm.Scheme
		state  *tls.ConnectionState
		want   [md5.Size]byte
	}{
		{"TLS", ntlm.Scheme{}, state, bound},
		{"no TLS", ntlm.Scheme{}, nil, none},
		{"left out", ntlm.Scheme{InsecureOmitChannelBindings: true}, state, none},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			ex := exchange("ann", "s3cret")
			ex.TLS = tc.state
			require.Contains(t, answer(t, &tc.scheme, ex), pair(10, string(tc.want[:])))
		})
	}
}

func TestFieldsOfTheScheme(t *testing.T) {
	message := answer(t, &ntlm.Scheme{Domain: "CORP", Workstation: "LAPTOP"}, exchange("ann", "s3cret"))
	require.Equal(t, wide("CORP"+"ann"+"LAPTOP"), message[88:88+26])

	message = answer(t, &ntlm.Scheme{Domain: "CORP"}, exchange("ann@example.com", "s3cret"))
	require.Equal(t, wide("ann@example.com"), message[88:88+30])

	_, err := (&ntlm.Scheme{PasswordIsHash: true}).NewSession(t.Context(), exchange("ann", "s3cret"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
	answer(t, &ntlm.Scheme{PasswordIsHash: true}, exchange("ann", "a4f49c406510bdcab6824ee7c30fd852"))
}

func TestNoUserNameIsALocalFailure(t *testing.T) {
	_, err := (&ntlm.Scheme{}).NewSession(t.Context(), exchange("", ""))
	require.Error(t, err)
	require.NotErrorIs(t, err, proxyauth.ErrChallengeRequired)
	require.NotErrorIs(t, err, proxyauth.ErrUnsupportedChallenge)
}

func TestFormattingASessionShowsNothing(t *testing.T) {
	session := newSession(t, &ntlm.Scheme{}, exchange("ann", "s3cret"))
	leg(t, session)
	requireNext(t, session, challenge, proxyauth.GoOn)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		require.Equal(t, "NTLM session", fmt.Sprintf(verb, session))
	}
}

func ExampleScheme() {
	scheme := &ntlm.Scheme{Domain: "CORP"}
	session, err := scheme.NewSession(context.Background(), proxyauth.Exchange{
		Proxy:       &url.URL{Scheme: "http", Host: "proxy.example.com:3128"},
		Credentials: proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	authorization, err := session.Authorization(context.Background(), proxyauth.Leg{Method: "GET", Target: "http://example.com/"})
	fmt.Println(authorization.Value, err)
	// Output: NTLM TlRMTVNTUAABAAAABYKIogAAAAAoAAAAAAAAACgAAAAGAbEdAAAADw== <nil>
}
