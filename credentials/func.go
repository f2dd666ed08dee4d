package credentials

import (
	"context"

	"github.com/go-proxyauth/proxyauth"
)

type named struct {
	proxyauth.CredentialsProvider
	name string
}

// Named returns a provider that stands under another name in errors, such as that of
// a [Chain], and is otherwise provider. It gives a [proxyauth.CredentialsFunc] a
// name.
func Named(name string, provider proxyauth.CredentialsProvider) proxyauth.CredentialsProvider {
	return named{provider, name}
}

// Accepted implements [proxyauth.CredentialsObserver].
func (n named) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	accepted(ctx, n.CredentialsProvider, req, c)
}

// Rejected implements [proxyauth.CredentialsObserver].
func (n named) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	rejected(ctx, n.CredentialsProvider, req, c)
}

// String returns the name.
func (n named) String() string { return n.name }
