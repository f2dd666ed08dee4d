// Custom-provider fetches a page through a proxy whose password is leased from a
// vault.
//
//	custom-provider -vault https://vault.example.com/v1/ldap/creds/proxy http://example.com/
//
// The proxy is that of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), the
// vault's token that in VAULT_TOKEN.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/schemes"
)

func main() {
	vaultURL := flag.String("vault", "", "URL of the credentials in the vault")
	flag.Parse()
	if *vaultURL == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	v := &vault{URL: *vaultURL, Token: proxyauth.NewSecret(os.Getenv("VAULT_TOKEN")), Client: directClient()}
	if err := fetch(ctx, newClient(http.DefaultTransport, v), flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// newClient returns a client whose requests get through the proxy that base
// chooses.
func newClient(base http.RoundTripper, v *vault) *http.Client {
	return &http.Client{Transport: &proxyauth.Transport{
		Base:    base,
		Schemes: schemes.Default(),
		// A proxy's URL that has credentials in it needs no vault.
		Credentials: credentials.Chain(credentials.ProxyURL(), &credentials.Cached{Source: v}),
	}}
}

// directClient returns a client that uses no proxy.
func directClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func fetch(ctx context.Context, client *http.Client, url string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if e, ok := proxyauth.ResponseError(resp); ok {
		return e
	}
	_, err = io.Copy(w, resp.Body)
	return err
}
