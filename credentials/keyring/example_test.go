package keyring_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/keyring"
)

// A program's "login" command stores the password once; its other commands find
// it.
func ExampleProvider_Save() {
	proxy := &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}
	c := proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret")}
	provider := &keyring.Provider{Username: "ann"}
	if err := provider.Save(context.Background(), proxy, c); err != nil {
		fmt.Println(err)
	}
}

// The entry that px keeps.
func ExampleProvider() {
	provider := &keyring.Provider{Service: "Px", Username: `CORP\ann`}
	fmt.Println(provider)
	// Output: keyring
}
