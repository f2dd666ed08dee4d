// Package defaults has the provider of credentials for programs that people run at a
// command line.
//
// It is a package of its own, below package credentials, so that only programs that import
// it link D-Bus, for the keyring, and the terminal.
package defaults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/credentials/keyring"
	"github.com/go-proxyauth/proxyauth/credentials/prompt"
)

// Provider returns a provider that looks for user name and password, in this order, in
//
//   - the user info of the proxy's URL, if that has a password;
//   - the environment variable PROXY_PASSWORD, with the user of the proxy's URL or else of
//     PROXY_USER, if the two don't name different ones;
//   - the netrc file, as [credentials.Netrc] does;
//   - the system's store, as [keyring.Provider] does, if a user is named;
//   - what a person says at the terminal, as [prompt.Provider] does, if there is one.
//
// A user that is named without a password, as in http://bob@proxy.example.com:3128 or by
// PROXY_USER, is whose password is looked for: no empty password is sent, unless
// PROXY_PASSWORD is set to the empty text, or a netrc file has password "".
//
// A netrc file or a store that can't be read is listed in the error, as are those that have
// nothing, and does not keep the next one from being asked. If what they have was refused, the
// person is asked. A password of the URL or the environment that was refused is not corrected:
// that is an error.
//
// Nobody is asked for Negotiate, since a user who has a ticket needs no password: without
// any of the others, it uses the tickets of the user that is named, or else of whoever is
// logged in. If it can't, the person is asked for the next scheme of the proxy.
//
// The provider is safe for concurrent use, and can be shared by several Transports.
func Provider() proxyauth.CredentialsProvider { return newProvider("") }

// Sources returns the providers that [Provider] asks, in its order, for programs that show
// where credentials were looked for. The name of each is what its String method returns; the
// last one is the person at the terminal. For Negotiate, a program leaves that out where the
// user has a ticket.
func Sources() []proxyauth.CredentialsProvider {
	var list []proxyauth.CredentialsProvider
	for _, p := range slices.Concat(given(), stored(), []proxyauth.CredentialsProvider{new(prompt.Provider)}) {
		list = append(list, source{p})
	}
	return list
}

// A source names the user to a provider that stands alone.
type source struct{ proxyauth.CredentialsProvider }

func (s source) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	return s.CredentialsProvider.Credentials(ctx, withUser(req))
}

func (s source) String() string { return fmt.Sprint(s.CredentialsProvider) }

// given returns the providers of what the program was started with.
func given() []proxyauth.CredentialsProvider {
	return []proxyauth.CredentialsProvider{userInfo{}, environment{}}
}

// stored returns the providers of what is stored on the machine.
func stored() []proxyauth.CredentialsProvider {
	return []proxyauth.CredentialsProvider{optional{credentials.Netrc{}}, optional{&keyring.Provider{}}}
}

// A provider names the user to the others.
type provider struct {
	all     proxyauth.CredentialsProvider
	tickets proxyauth.CredentialsProvider // for Negotiate
}

var _ proxyauth.CredentialsObserver = (*provider)(nil)

// newProvider returns a provider that asks on a device, "" for the controlling terminal.
func newProvider(device string) *provider {
	given := given()
	person := &credentials.Cached{Source: &prompt.Provider{Device: device}} // not once for each scheme
	store := credentials.Chain(stored()...).(proxyauth.CredentialsObserver)
	return &provider{
		all:     credentials.Chain(append(slices.Clone(given), credentials.Saved(store, person))...),
		tickets: credentials.Chain(append(slices.Clone(given), store)...),
	}
}

// Credentials implements [proxyauth.CredentialsProvider].
func (p *provider) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	named := withUser(req)
	if !strings.EqualFold(req.Scheme, "Negotiate") {
		return p.all.Credentials(ctx, named)
	}
	c, err := p.tickets.Credentials(ctx, named)
	if errors.Is(err, proxyauth.ErrNoCredentials) && userOf(named) != "" {
		return proxyauth.Credentials{Username: userOf(named)}, nil
	}
	return c, err
}

// Accepted implements [proxyauth.CredentialsObserver].
func (p *provider) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	p.all.(proxyauth.CredentialsObserver).Accepted(ctx, withUser(req), c)
}

// Rejected implements [proxyauth.CredentialsObserver].
func (p *provider) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	p.all.(proxyauth.CredentialsObserver).Rejected(ctx, withUser(req), c)
}

// String returns the names of the providers.
func (p *provider) String() string { return fmt.Sprint(p.all) }

// withUser returns req, with the user of the environment if the proxy's URL names none.
func withUser(req *proxyauth.CredentialsRequest) *proxyauth.CredentialsRequest {
	user := os.Getenv(credentials.DefaultUserVariable)
	if user == "" || req.UserInfo != nil && (req.UserInfo.Username != "" || req.UserInfo.Password.Reveal() != "") {
		return req
	}
	named := *req
	named.UserInfo = &proxyauth.Credentials{Username: user}
	return &named
}

func userOf(req *proxyauth.CredentialsRequest) string {
	if req.UserInfo == nil {
		return ""
	}
	return req.UserInfo.Username
}

func none(p fmt.Stringer, why string) error {
	return fmt.Errorf("%w: %v: %s", proxyauth.ErrNoCredentials, p, why)
}

// userInfo is the user info of the proxy's URL, if it has a password.
type userInfo struct{}

func (u userInfo) Credentials(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	switch {
	case req.UserInfo != nil && req.UserInfo.Password.Reveal() != "":
		return *req.UserInfo, nil
	case req.UserInfo != nil && req.UserInfo.Username != "":
		return proxyauth.Credentials{}, none(u, "no password")
	}
	return proxyauth.Credentials{}, none(u, "the URL has none")
}

func (userInfo) String() string { return "user info of the proxy's URL" }

// environment is the password in the environment, for the user that is named.
type environment struct{}

func (e environment) Credentials(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	const userVariable, passwordVariable = credentials.DefaultUserVariable, credentials.DefaultPasswordVariable
	password, found := os.LookupEnv(passwordVariable)
	user := userOf(req)
	switch own := os.Getenv(userVariable); {
	case !found:
		return proxyauth.Credentials{}, none(e, passwordVariable+" is not set")
	case user == "":
		return proxyauth.Credentials{}, none(e, userVariable+" is not set")
	case own != "" && own != user:
		return proxyauth.Credentials{}, none(e, userVariable+" is not the user of the proxy's URL")
	}
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
}

func (environment) String() string { return "environment" }

// An optional is a store that has no credentials if it can't be read.
type optional struct {
	store interface {
		proxyauth.CredentialsProvider
		fmt.Stringer
	}
}

func (o optional) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	c, err := o.store.Credentials(ctx, req)
	if err == nil || errors.Is(err, proxyauth.ErrNoCredentials) || ctx.Err() != nil {
		return c, err
	}
	text := strings.TrimPrefix(err.Error(), "proxyauth: ")
	return c, none(o, strings.TrimPrefix(text, o.String()+": "))
}

func (o optional) String() string { return o.store.String() }
