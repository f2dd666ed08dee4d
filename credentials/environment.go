package credentials

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// The variables that [Environment] reads if it is given no names.
const (
	DefaultUserVariable     = "PROXY_USER"
	DefaultPasswordVariable = "PROXY_PASSWORD"
)

type environment struct {
	user, password string
}

// Environment returns a provider that reads the user name and the password from
// the environment variables of these names, each time it is asked. An empty name
// means PROXY_USER or PROXY_PASSWORD. A program that takes over from px passes
// PX_USERNAME and PX_PASSWORD. The variables that curl and net/http read,
// HTTPS_PROXY and the like, hold the user info of a URL: see [ProxyURL].
//
// Without a user name it has no credentials. A user name whose password variable
// is not set at all is an error; an empty password is a password.
//
// In a CGI program, recognized by REQUEST_METHOD, a variable whose name begins
// with HTTP_ is a header of the client's request, and is not read.
//
// After a refusal they are read again. If the answer is the same, a Transport limits
// how often it sends it.
func Environment(user, password string) proxyauth.CredentialsProvider {
	return environment{
		user:     cmp.Or(user, DefaultUserVariable),
		password: cmp.Or(password, DefaultPasswordVariable),
	}
}

func (e environment) Credentials(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	var c proxyauth.Credentials
	if err := ended(ctx); err != nil {
		return c, err
	}
	user, _ := lookup(e.user)
	if user == "" {
		return c, none(e, e.user+" is not set")
	}
	password, found := lookup(e.password)
	if !found {
		return c, fmt.Errorf("proxyauth: %v: %s is set, %s is not", e, e.user, e.password)
	}
	c = proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
	return c, nil
}

func lookup(name string) (string, bool) {
	// httpoxy: a client's header becomes a variable of a CGI program.
	if os.Getenv("REQUEST_METHOD") != "" && hasHTTPPrefix(name) {
		return "", false
	}
	return os.LookupEnv(name)
}

// Windows takes variables without regard to case.
func hasHTTPPrefix(name string) bool {
	return strings.HasPrefix(strings.ToUpper(name), "HTTP_")
}

// String returns the provider's name.
func (environment) String() string { return "environment" }
