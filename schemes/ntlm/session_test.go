package ntlm_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

func token(text string) []proxyauth.Challenge {
	return []proxyauth.Challenge{{Scheme: "NTLM", Token68: text}}
}

func TestContinueAfterTheFirstLeg(t *testing.T) {
	oem := []byte(decoded(t, samba))
	oem[20] &^= 1
	for _, tc := range []struct {
		desc       string
		challenges []proxyauth.Challenge
		next       proxyauth.Next
		want       error // nil for one that wraps none of the root's
	}{
		{"no challenge", nil, proxyauth.Broken, nil},
		{"bare challenge", bare, proxyauth.Broken, nil},
		{"two challenge messages", append(token(samba), token(samba)...), proxyauth.Broken, nil},
		{"no Unicode", token(base64.StdEncoding.EncodeToString(oem)), proxyauth.GoOn, proxyauth.ErrUnsupportedChallenge},
		{"not base64", token("???"), proxyauth.GoOn, nil},
		{"base64 without its padding", token("TlRMTVNTUA"), proxyauth.GoOn, nil},
		{"no message", token("AAAA"), proxyauth.GoOn, nil},
		{"truncated", token(samba[:40]), proxyauth.GoOn, nil},
		{"64 KiB", token(strings.Repeat("A", 64<<10)), proxyauth.GoOn, nil},
		{"1 MiB", token(strings.Repeat("A", 1<<20)), proxyauth.GoOn, nil},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			session := newSession(t, &ntlm.Scheme{}, exchange("sesame", "sesame"))
			leg(t, session)
			next, err := session.Continue(t.Context(), tc.challenges)
			require.Equal(t, tc.next, next)
			requireOnly(t, err, tc.want)

			_, err = session.Authorization(t.Context(), proxyauth.Leg{})
			require.Error(t, err, "a failed session has no further leg")
		})
	}
}

func TestContinueAfterTheLastLeg(t *testing.T) {
	for _, tc := range []struct {
		desc       string
		challenges []proxyauth.Challenge
		want       proxyauth.Next
	}{
		{"no challenge", nil, proxyauth.Refused},
		{"bare challenge", bare, proxyauth.Refused},
		{"challenged again", challenge, proxyauth.Broken},
		{"garbage", token("???"), proxyauth.Broken},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			session := newSession(t, &ntlm.Scheme{}, exchange("sesame", "sesame"))
			leg(t, session)
			requireNext(t, session, challenge, proxyauth.GoOn)
			leg(t, session)
			next, _ := session.Continue(t.Context(), tc.challenges)
			require.Equal(t, tc.want, next)

			_, err := session.Authorization(t.Context(), proxyauth.Leg{})
			require.Error(t, err, "the credentials are sent once")
		})
	}
}

// requireOnly requires an error that wraps the one given and no other that has a
// meaning, and that says neither user name nor token.
func requireOnly(t *testing.T, err, want error) {
	t.Helper()
	require.Error(t, err)
	for _, sentinel := range []error{proxyauth.ErrRejected, proxyauth.ErrUnsupportedChallenge, proxyauth.ErrHeldBack} {
		if sentinel == want {
			require.ErrorIs(t, err, sentinel)
		} else {
			require.NotErrorIs(t, err, sentinel)
		}
	}
	require.NotContains(t, err.Error(), "sesame")
	require.NotContains(t, err.Error(), "AAAA")
	require.NotContains(t, err.Error(), "TlRM")
}

func TestBareChallengeBesideTheMessage(t *testing.T) {
	session := newSession(t, &ntlm.Scheme{}, exchange("ann", "s3cret"))
	leg(t, session)
	requireNext(t, session, append(token(samba), bare...), proxyauth.GoOn)
}

func TestOutOfTurn(t *testing.T) {
	t.Run("Continue before the first leg", func(t *testing.T) {
		session := newSession(t, &ntlm.Scheme{}, exchange("ann", "s3cret"))
		for _, challenges := range [][]proxyauth.Challenge{bare, challenge} {
			next, err := session.Continue(t.Context(), challenges)
			require.Equal(t, proxyauth.GoOn, next)
			requireOnly(t, err, nil)
		}
	})
	t.Run("challenge twice", func(t *testing.T) {
		session := newSession(t, &ntlm.Scheme{}, exchange("ann", "s3cret"))
		leg(t, session)
		requireNext(t, session, challenge, proxyauth.GoOn)
		_, err := session.Continue(t.Context(), challenge)
		requireOnly(t, err, nil)
	})
	t.Run("leg without an answer to the one before", func(t *testing.T) {
		session := newSession(t, &ntlm.Scheme{}, exchange("ann", "s3cret"))
		leg(t, session)
		_, err := session.Authorization(t.Context(), proxyauth.Leg{})
		require.Error(t, err)
	})
}

func decoded(t testing.TB, text string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return string(b)
}

func FuzzContinueNeverClaimsARefusal(f *testing.F) {
	f.Add(samba)
	f.Add("")
	f.Add("???")
	f.Add(samba[:60])
	f.Add(strings.Repeat("A", 300))
	f.Fuzz(func(t *testing.T, text string) {
		session := newSession(t, &ntlm.Scheme{}, exchange("ann", "s3cret"))
		leg(t, session)
		next, err := session.Continue(t.Context(), token(text))
		require.NotEqual(t, proxyauth.Refused, next, "nothing secret was sent yet")
		if err != nil {
			require.NotErrorIs(t, err, proxyauth.ErrRejected)
			return
		}
		require.Equal(t, proxyauth.GoOn, next)
		require.Equal(t, "NTLMSSP\x00\x03\x00\x00\x00", string(leg(t, session)[:12]))
	})
}
