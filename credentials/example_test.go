package credentials_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
)

// show asks provider as a Transport does that was challenged by a proxy.
func show(provider proxyauth.CredentialsProvider, userInfo *proxyauth.Credentials) {
	c, err := provider.Credentials(context.Background(), &proxyauth.CredentialsRequest{
		Proxy:    &url.URL{Scheme: "http", Host: "proxy.example.com:3128"},
		UserInfo: userInfo,
		Scheme:   "Basic",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Username, c.Password, len(c.Password.Reveal()))
}

// temporary writes a file that only its owner can read.
func temporary(content string) (path string, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	path = filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		panic(err)
	}
	return path, func() { os.RemoveAll(dir) }
}

func ExampleStatic() {
	show(credentials.Static(`CORP\ann`, "s3cret"), nil)
	// Output: CORP\ann [redacted] 6
}

func ExampleProxyURL() {
	// HTTPS_PROXY=http://ann:s3cret@proxy.example.com:3128
	show(credentials.ProxyURL(), &proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret")})
	// HTTPS_PROXY=http://proxy.example.com:3128
	show(credentials.ProxyURL(), nil)
	// Output:
	// ann [redacted] 6
	// proxyauth: no credentials: user info of the proxy's URL: the URL has none
}

func ExampleEnvironment() {
	os.Setenv("PX_USERNAME", `CORP\ann`)
	os.Setenv("PX_PASSWORD", "s3cret")
	defer os.Unsetenv("PX_USERNAME")
	defer os.Unsetenv("PX_PASSWORD")
	show(credentials.Environment("PX_USERNAME", "PX_PASSWORD"), nil)
	// Output: CORP\ann [redacted] 6
}

func ExampleNetrc() {
	path, remove := temporary("machine proxy.example.com login ann password s3cret\n")
	defer remove()
	show(credentials.Netrc{Path: path}, nil)
	show(credentials.Netrc{Path: path}, &proxyauth.Credentials{Username: "ann"})
	// Output:
	// ann [redacted] 6
	// ann [redacted] 6
}

func ExampleFile() {
	// In Kubernetes /var/run/secrets/proxy/password, for example, and under
	// systemd filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), "proxy-password").
	path, remove := temporary("s3cret\n")
	defer remove()
	show(credentials.File{Username: "ann", PasswordPath: path}, nil)
	// Output: ann [redacted] 6
}

func ExampleCommand() {
	path, remove := temporary("http://ann:s3cret@proxy.example.com%3a3128\n")
	defer remove()
	show(&credentials.Command{Args: []string{"git", "credential-store", "--file", path}}, nil)
}

func ExampleCommand_json() {
	show(&credentials.Command{
		Args: []string{"echo", `{"username": "ann", "password": "s3cret", "expires": "2999-01-02T15:04:05Z"}`},
		JSON: true,
	}, nil)
}

func ExampleChain() {
	chain := credentials.Chain(
		credentials.ProxyURL(),
		credentials.Environment("", ""),
		credentials.Static("ann", "s3cret"),
	)
	show(chain, nil)

	show(credentials.Chain(credentials.ProxyURL(), credentials.Environment("", "")), nil)
	// Output:
	// ann [redacted] 6
	// proxyauth: no credentials: user info of the proxy's URL: the URL has none; environment: PROXY_USER is not set
}

func ExampleSaved() {
	// A prompt, in a program with a terminal.
	person := credentials.Static("ann", "s3cret")
	helper := &credentials.Command{Args: []string{"git", "credential-cache"}}
	fmt.Println(credentials.Saved(helper, person))
	// Output: command git credential-cache, static credentials
}

func ExampleCached() {
	slow := proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		fmt.Println("asked")
		return proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret")}, nil
	})
	cached := &credentials.Cached{Source: slow, MaxAge: time.Hour}
	show(cached, nil)
	show(cached, nil)
	// Output:
	// asked
	// ann [redacted] 6
	// ann [redacted] 6
}

// A vault leases a password for some time. Cached asks for a new one when the
// lease has ended, or when the proxy refuses the password.
func ExampleNamed() {
	lease := func(ctx context.Context, proxy string) (user, password string, lifetime time.Duration, err error) {
		return "ann", "lease-of-" + proxy, time.Hour, ctx.Err()
	}
	ask := func(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		asked := time.Now()
		user, password, lifetime, err := lease(ctx, req.Proxy.Hostname())
		if err != nil {
			return proxyauth.Credentials{}, fmt.Errorf("leasing a password: %w", err)
		}
		return proxyauth.Credentials{
			Username: user,
			Password: proxyauth.NewSecret(password),
			Expires:  asked.Add(lifetime - time.Minute), // early enough to reach the proxy
		}, nil
	}
	vault := credentials.Named("vault", proxyauth.CredentialsFunc(ask))
	show(&credentials.Cached{Source: vault}, nil)
	// Output: ann [redacted] 26
}
