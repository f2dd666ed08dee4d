package credentials

import (
	"context"

	"github.com/go-proxyauth/proxyauth"
)

// static is a func, so that no way of printing it shows the user name.
type static func() proxyauth.Credentials

// Static returns a provider that always answers with user and password. They
// are given to every proxy that the program uses.
//
// After a refusal the answer is the same, and a Transport limits how often it sends
// it.
func Static(user, password string) proxyauth.CredentialsProvider {
	c := proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
	return static(func() proxyauth.Credentials { return c })
}

func (s static) Credentials(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if err := ended(ctx); err != nil {
		return proxyauth.Credentials{}, err
	}
	return s(), nil
}

// String returns the provider's name.
func (static) String() string { return "static credentials" }

type proxyURL struct{}

// ProxyURL returns a provider that answers with the user info of the proxy's
// URL, as in HTTPS_PROXY=http://ann:s3cret@proxy.example.com:3128, with
// percent-encoding undone. It is what a Transport without a provider uses.
//
// A user name with no password is an answer with an empty password, as in
// net/http. If the URL is to name only the user, and the password comes from
// elsewhere, leave ProxyURL out: [Netrc], [Command] and the providers of the
// packages keyring and prompt take the user name from the URL themselves.
//
// After a refusal the answer is the same, and a Transport limits how often it sends
// it.
func ProxyURL() proxyauth.CredentialsProvider { return proxyURL{} }

func (p proxyURL) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if err := ended(ctx); err != nil {
		return proxyauth.Credentials{}, err
	}
	if req.UserInfo == nil || req.UserInfo.Username == "" && req.UserInfo.Password.Reveal() == "" {
		return proxyauth.Credentials{}, none(p, "the URL has none")
	}
	return *req.UserInfo, nil
}

// String returns the provider's name.
func (proxyURL) String() string { return "user info of the proxy's URL" }
