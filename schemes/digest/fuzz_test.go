package digest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/httpfield"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
)

// maxFuzzed keeps an authorization, in which each byte may be escaped, below what the
// reader in these tests takes.
const maxFuzzed = 32 << 10

// FuzzAuthorizationGivesBackWhatWentIn reads the authorization as a proxy does.
func FuzzAuthorizationGivesBackWhatWentIn(f *testing.F) {
	f.Add("ann", "s3cret", "lab", "n", "o", "MD5", "auth", "example.com:443")
	f.Add(`CORP\ann"`, "", "Lab \"q\" \\ x", `"`, `\`, "SHA-256-sess", "auth-int", `http://example.com/?"\`)
	f.Add("j\u00f6rg", "", "J\xf6rg", "n\r\nX: y", "\x00", "", "", "/\r\n")
	f.Add("ann\n", "s3cret\n", "", "", "", "-sess", "auth-conf", "")
	f.Fuzz(func(t *testing.T, user, password, realm, nonce, opaque, algorithm, qop, target string) {
		if len(user)+len(realm)+len(nonce)+len(opaque)+len(target) > maxFuzzed {
			t.Skip()
		}
		challenge := params{"realm": realm, "nonce": nonce, "opaque": opaque, "algorithm": algorithm, "qop": qop}
		s, err := digest.Scheme{}.NewSession(t.Context(), exchange(user, password, challenge))
		if err != nil {
			return
		}
		got, err := s.Authorization(t.Context(), proxyauth.Leg{Method: "GET", Target: target})
		if err != nil {
			return
		}
		require.False(t, strings.ContainsFunc(got.Value, isForbidden), "%q", got.Value)
		sent := fields(t, got.Value) // balanced quotes, or this fails
		require.Equal(t, []string{user, realm, nonce, opaque, algorithm, target}, []string{
			sent["username"], sent["realm"], sent["nonce"], sent["opaque"], sent["algorithm"], sent["uri"],
		})
		require.NotContains(t, sent, "")
	})
}

// FuzzExtendedUsername decodes username* as RFC 8187 has it, and compares userhash.
func FuzzExtendedUsername(f *testing.F) {
	f.Add("j\u00f6rg 'x'%")
	f.Add("\xff")
	f.Add("ann\"\\")
	f.Fuzz(func(t *testing.T, user string) {
		challenge := offered("n", "charset", "UTF-8")
		s, err := digest.Scheme{}.NewSession(t.Context(), exchange(user, "x", challenge))
		if err != nil {
			return
		}
		got, err := s.Authorization(t.Context(), proxyauth.Leg{})
		require.NoError(t, err)
		sent := fields(t, got.Value)
		if extended, ok := sent["username*"]; ok {
			require.Equal(t, user, decodeExtended(t, extended))
			require.NotContains(t, sent, "username")
			return
		}
		require.Equal(t, user, sent["username"])
	})
}

// FuzzVerifyAcceptsNoForgery lets a peer that does not know the password answer.
func FuzzVerifyAcceptsNoForgery(f *testing.F) {
	f.Add(`rspauth="00"`, "hello")
	f.Add(`rspauth=, qop=auth-int, nextnonce=n`, "")
	f.Add(`qop=auth, nc=00000001, cnonce="cn1", rspauth="6629fae49393a05397450978507c4ef1"`, "")
	f.Fuzz(func(t *testing.T, info, text string) {
		if len(info) > maxFuzzed {
			t.Skip()
		}
		c := newClient(t, offered("n", "qop", "auth-int"))
		c.get()
		resp := response(text, info)
		err := c.answered(resp)
		for b := make([]byte, 512); err == nil; {
			_, err = resp.Body.Read(b)
		}
		sent, _ := httpfield.Params([]string{info})
		if _, ok := sent["rspauth"]; ok {
			require.ErrorIs(t, err, proxyauth.ErrNotVerified)
		}
		c.get()
	})
}

func isForbidden(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
