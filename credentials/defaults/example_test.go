package defaults_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/defaults"
	"github.com/go-proxyauth/proxyauth/schemes"
)

// What a command-line program uses. HTTPS_PROXY says which proxy, and may have user and
// password.
func ExampleProvider() {
	provider := defaults.Provider()
	client := &http.Client{Transport: &proxyauth.Transport{
		Schemes:     schemes.Default(),
		Credentials: provider,
	}}
	_ = client // client.Get("https://example.com/")
	fmt.Println("looks in:", provider)

	c, err := provider.Credentials(context.Background(), &proxyauth.CredentialsRequest{
		Proxy:    &url.URL{Scheme: "http", Host: "proxy.example.com:3128"},
		UserInfo: &proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret")},
		Scheme:   "Basic",
	})
	fmt.Println(c.Username, c.Password, err)
	// Output:
	// looks in: user info of the proxy's URL, environment, netrc, keyring, prompt
	// ann [redacted] <nil>
}
