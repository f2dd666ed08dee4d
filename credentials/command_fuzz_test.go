package credentials_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
)

// Whatever a helper prints, an answer is a user name and a password of one line,
// and an error shows nothing of it.
func FuzzCommandOutputIsAnAnswerOrAnError(f *testing.F) {
	f.Add("username=ann\npassword=s3cret\npassword_expiry_utc=99999999999\n\n")
	f.Add("quit=1\n")
	f.Add("host=other.example.com\r\nusername=ann\r\npassword=\x00\r\n")
	f.Add(`{"username": "ann", "password": "s3cret", "expires": "2026-01-02T15:04:05Z"}`)
	f.Add(`{"username": 1}`)
	f.Add("[\n")
	req := &proxyauth.CredentialsRequest{Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}}
	f.Fuzz(func(t *testing.T, output string) {
		if c, found, err := credentials.ParseGitAnswer([]byte(output), req); found {
			require.NoError(t, err)
			require.NotEmpty(t, c.Username)
			require.False(t, strings.ContainsAny(c.Username+c.Password.Reveal(), "\r\n\x00"))
		}
		if c, found, err := credentials.ParseJSONAnswer([]byte(output), req); found {
			require.NoError(t, err)
			require.NotEmpty(t, c.Username)
			require.NotEmpty(t, c.Password.Reveal())
		}
	})
}
