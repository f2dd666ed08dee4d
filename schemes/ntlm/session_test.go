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
		want       error // nil for one that wraps none of the root's
	}{
		{"no challenge", nil, proxyauth.ErrHandshakeBroken},
		{"bare challenge", bare, proxyauth.ErrHandshakeBroken},
		{"two challenge messages", append(token(samba), token(samba)...), proxyauth.ErrHandshakeBroken},
		{"no Unicode", token(base64.StdEncoding.EncodeToString(oem)), proxyauth.ErrUnsupportedChallenge},
		{"not base64", token("???"), nil},
		{"base64 without its padding", token("TlRMTVNTUA"), nil},
		{"no message", token("AAAA"), nil},
		{"truncated", token(samba[:40]), nil},
		{"64 KiB", token(strings.Repeat("A", 64<<10)), nil},
		{"1 MiB", token(strings.Repeat("A", 1<<20)), nil},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			session := newSession(t, &ntlm.Scheme{}, exchange("sesame", "sesame"))
			leg(t, session)
			err := session.Continue(t.Context(), tc.challenges)
			requireOnly(t, err, tc.want)
			require.False(t, session.Final())

			_, err = session.Authorization(t.Context(), proxyauth.Leg{})
			require.Error(t, err, "a failed session has no further leg")
		})
	}
}

func TestContinueAfterTheLastLeg(t *testing.T) {
	for _, tc := range []struct {
		desc       string
		challenges []proxyauth.Challenge
		want       error
	}{
		{"no challenge", nil, proxyauth.ErrRejected},
		{"bare challenge", bare, proxyauth.ErrRejected},
		{"challenged again", challenge, proxyauth.ErrHandshakeBroken},
		{"garbage", token("???"), proxyauth.ErrHandshakeBroken},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			session := newSession(t, &ntlm.Scheme{}, exchange("sesame", "sesame"))
			leg(t, session)
			require.NoError(t, session.Continue(t.Context(), challenge))
			leg(t, session)
			requireOnly(t, session.Continue(t.Context(), tc.challenges), tc.want)

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
	for _, sentinel := range []error{
		proxyauth.ErrRejected, proxyauth.ErrHandshakeBroken,
		proxyauth.ErrUnsupportedChallenge, proxyauth.ErrSessionExpired,
	} {
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
	require.NoError(t, session.Continue(t.Context(), append(token(samba), bare...)))
}

func TestOutOfTurn(t *testing.T) {
	t.Run("Continue before the first leg", func(t *testing.T) {
		session := newSession(t, &ntlm.Scheme{}, exchange("ann", "s3cret"))
		require.Error(t, session.Continue(t.Context(), bare))
		requireOnly(t, session.Continue(t.Context(), challenge), proxyauth.ErrHandshakeBroken)
	})
	t.Run("challenge twice", func(t *testing.T) {
		session := newSession(t, &ntlm.Scheme{}, exchange("ann", "s3cret"))
		leg(t, session)
		require.NoError(t, session.Continue(t.Context(), challenge))
		requireOnly(t, session.Continue(t.Context(), challenge), proxyauth.ErrHandshakeBroken)
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
		if err := session.Continue(t.Context(), token(text)); err != nil {
			// Nothing was proved yet.
			require.NotErrorIs(t, err, proxyauth.ErrRejected)
			require.False(t, session.Final())
			return
		}
		require.Equal(t, "NTLMSSP\x00\x03\x00\x00\x00", string(leg(t, session)[:12]))
		require.True(t, session.Final())
	})
}
