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
		return c, none(e, missing(e.user))
	}
	password, found := lookup(e.password)
	if !found {
		return c, fmt.Errorf("proxyauth: %v: %s is set, %s", e, e.user, missing(e.password))
	}
	c = proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
	return c, nil
}

func lookup(name string) (string, bool) {
	if ofRequest(name) {
		return "", false
	}
	return os.LookupEnv(name)
}

// missing says why lookup finds nothing.
func missing(name string) string {
	if ofRequest(name) {
		return name + " is not read in a CGI program (REQUEST_METHOD is set)"
	}
	return name + " is not set"
}

// ofRequest reports whether the variable is a header of a CGI program's client (httpoxy).
// Windows takes variables without regard to case.
func ofRequest(name string) bool {
	return os.Getenv("REQUEST_METHOD") != "" && strings.HasPrefix(strings.ToUpper(name), "HTTP_")
}

// String returns the provider's name.
func (environment) String() string { return "environment" }
