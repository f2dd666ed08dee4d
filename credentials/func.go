package credentials

import (
	"context"
	"time"

	"github.com/go-proxyauth/proxyauth"
)

type namedFunc struct {
	name string
	ask  func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, time.Time, error)
}

// Func returns a provider that calls ask, which must be safe for concurrent use.
// The name stands for it in errors. The time is the one from which on the answer
// must not be used any more, zero if none is known. Without name and time a
// [proxyauth.CredentialsFunc] does.
//
// After a refusal ask is called again, with what was refused in
// [proxyauth.CredentialsRequest.Rejected], and a different answer is tried at
// once.
func Func(name string, ask func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, time.Time, error)) proxyauth.ExpiringProvider {
	return namedFunc{name: name, ask: ask}
}

func (f namedFunc) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	c, _, err := f.ask(ctx, req)
	return c, err
}

func (f namedFunc) CredentialsUntil(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, time.Time, error) {
	return f.ask(ctx, req)
}

// String returns the provider's name.
func (f namedFunc) String() string { return f.name }
