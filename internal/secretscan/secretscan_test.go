package secretscan

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

const password = "s3cret"

// TestScanner finds what it is to find, and nothing else.
func TestScanner(t *testing.T) {
	s := New([]string{"ann"}, password)
	for _, text := range []string{
		"password is s3cret.", "S3CRET", "733363726574",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann:s3cret")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann2:s3cret ")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann22:s3cret  ")),
		fmt.Sprintf("%x", ntHash(password)), base64.StdEncoding.EncodeToString(ntHash(password)),
		base64.StdEncoding.EncodeToString([]byte(utf16LE("s3cret"))),
		fmt.Sprintf("%x", md5.Sum([]byte("ann:lab:s3cret"))),
		"NTLM TlRMTVNTUAADAAAA", `Digest response="6629fae49393a05397450978507c4ef1"`,
	} {
		require.False(t, s.Text("here", text), text)
	}
	require.Len(t, s.Found(), 12)
	for _, text := range []string{"", "secret", "NTLM TlRMTVNTUAABAAAA", "Basic Zm9vOmJhcg==", `{"scheme":"Basic","error":"proxyauth: credentials rejected"}`} {
		require.True(t, s.Text("here", text), text)
	}
	require.Len(t, s.Found(), 12)
	require.Equal(t, 17, s.texts)
	s.Error("here", fmt.Errorf("wrapped: %w", fmt.Errorf("%s", password)))
	require.Greater(t, len(s.Found()), 12)

	s = New([]string{"ann"}, password)
	rule := fmt.Errorf("%w: "+password, proxyauth.ErrForbidden)
	inner := &proxyauth.Error{Cause: proxyauth.CausePolicyForbids, Err: rule}
	for _, err := range []error{inner, fmt.Errorf("wrapped: %w", inner), &proxyauth.Error{Err: inner}, errors.Join(errors.New("one"), inner)} {
		before := len(s.Found())
		s.hints("here", err)
		require.Len(t, s.Found(), before+1)
	}
	s.hints("here", &proxyauth.Error{Cause: proxyauth.CauseProxyFailed})
	require.Len(t, s.Found(), 4)
}

// Errors that differ in a host's number or a port alone are looked through once.
func TestErrorsThatDifferInANumber(t *testing.T) {
	s := New([]string{"ann"}, "123456")
	for i, tt := range []struct {
		text  string
		known bool
	}{
		{"dial proxy1.example.com:3128: refused", false},
		{"dial proxy2.example.com:65535: refused", true},
		{"dial proxy.example.com:3128: refused", false},
		{"dial proxy1.example.com:654321: refused", false},
		{"dial proxy1.example.com:123456: refused", false},
	} {
		require.Equal(t, !tt.known, s.isNew(errors.New(tt.text)), "%d: %s", i, tt.text)
	}
}
