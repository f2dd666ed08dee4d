package basic_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

func exchange(user, password string) proxyauth.Exchange {
	return proxyauth.Exchange{Credentials: proxyauth.Credentials{
		Username: user,
		Password: proxyauth.NewSecret(password),
	}}
}

func TestAuthorization(t *testing.T) {
	for _, tc := range []struct{ desc, user, password, want string }{
		{"RFC 7617, Section 2", "Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
		{"RFC 7617, Section 2.1", "test", "123\u00a3", "Basic dGVzdDoxMjPCow=="},
		{"empty password", "ann", "", "Basic YW5uOg=="},
		{"empty user name", "", "x", "Basic Ong="},
		{"colons in the password", "ann", ":a:b", "Basic YW5uOjphOmI="},
		{"a domain", `CORP\ann`, "x", "Basic Q09SUFxhbm46eA=="},
		{"bytes that are not UTF-8", "j\xf6rg", "x", "Basic avZyZzp4"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			s, err := basic.Scheme{}.NewSession(t.Context(), exchange(tc.user, tc.password))
			require.NoError(t, err)
			for range 2 {
				got, err := s.Authorization(t.Context(), proxyauth.Leg{Method: "GET"})
				require.NoError(t, err)
				require.Equal(t, proxyauth.Authorization{Value: tc.want}, got)
			}
		})
	}
}

func TestNewSessionRefuses(t *testing.T) {
	for _, tc := range []struct {
		desc, user, password string
		want                 string // in the error
	}{
		{"a colon in the user name", "an:n", "x", "colon"},
		{"a line feed in the user name", "ann\n", "x", "control character"},
		{"a line end in the password", "ann", "s3cret\r\n", "control character"},
		{"NUL", "ann", "s3\x00cret", "control character"},
		{"a tab", "ann", "s3\tcret", "control character"},
		{"DEL", "ann\x7f", "s3cret", "control character"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			s, err := basic.Scheme{}.NewSession(t.Context(), exchange(tc.user, tc.password))
			require.ErrorContains(t, err, tc.want)
			require.Nil(t, s)
			require.NotContains(t, err.Error(), "ann")
			require.NotContains(t, err.Error(), "s3")
		})
	}
}

func TestSessionIsOneLeg(t *testing.T) {
	s, err := basic.Scheme{}.NewSession(t.Context(), exchange("ann", "x"))
	require.NoError(t, err)
	require.Equal(t, "Basic", basic.Scheme{}.Name())
	require.NotImplements(t, (*proxyauth.Continuer)(nil), s)
	require.NotImplements(t, (*proxyauth.Verifier)(nil), s)
	require.Equal(t, proxyauth.SchemeProperties{RevealsSecret: true}, basic.Scheme{}.Properties())
}

func TestSessionDoesNotPrintItsSecret(t *testing.T) {
	s, err := basic.Scheme{}.NewSession(t.Context(), exchange("ann", "s3cret"))
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text := fmt.Sprintf(verb+verb, s, struct{ s proxyauth.Session }{s})
		require.NotContains(t, text, "YW5uOn")
		require.NotContains(t, text, fmt.Sprintf("%x", "YW5uOn"))
	}
}

func TestAuthorizationDoesNotAllocate(t *testing.T) {
	s, err := basic.Scheme{}.NewSession(t.Context(), exchange("ann", "s3cret"))
	require.NoError(t, err)
	ctx, leg := context.Background(), proxyauth.Leg{Method: "GET", Target: "http://example.com/"}
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Authorization(ctx, leg) }))
}

// FuzzAuthorizationDecodes takes the authorization apart as a proxy does.
func FuzzAuthorizationDecodes(f *testing.F) {
	f.Add("ann", "s3cret")
	f.Add("test", "123\u00a3")
	f.Add("", "")
	f.Add("an:n", ":")
	f.Add("ann\r\nX: y", "\x00")
	f.Fuzz(func(t *testing.T, user, password string) {
		s, err := basic.Scheme{}.NewSession(t.Context(), exchange(user, password))
		if err != nil {
			return
		}
		authorization, err := s.Authorization(t.Context(), proxyauth.Leg{})
		require.NoError(t, err)
		encoded, ok := strings.CutPrefix(authorization.Value, "Basic ")
		require.True(t, ok)
		text, err := base64.StdEncoding.DecodeString(encoded)
		require.NoError(t, err)
		gotUser, gotPassword, _ := strings.Cut(string(text), ":")
		require.Equal(t, []string{user, password}, []string{gotUser, gotPassword})
	})
}

func ExampleScheme() {
	session, err := basic.Scheme{}.NewSession(context.Background(), proxyauth.Exchange{
		Credentials: proxyauth.Credentials{
			Username: "Aladdin",
			Password: proxyauth.NewSecret("open sesame"),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	authorization, err := session.Authorization(context.Background(), proxyauth.Leg{Method: "CONNECT"})
	fmt.Println(authorization.Value, err)
	fmt.Println(authorization)

	// Output:
	// Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== <nil>
	// [redacted]
}
