package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
)

// A chain remembers who gave which answer, to hand on what became of it.
type chain struct {
	providers []proxyauth.CredentialsProvider
	givers    memo.Table[proxyauth.CredentialsProvider]
}

// Chain returns a provider that asks the providers in turn and stops at the
// first one that has credentials.
//
//   - If none has, the error wraps [proxyauth.ErrNoCredentials] and lists where
//     was looked.
//   - If one fails, as opposed to having none, the chain ends with its error and
//     its name, so that a broken source does not go unnoticed. The name is what
//     its String method returns, or else that of its type.
//
// Credentials that were refused end the chain as well, since trying one password
// after the other locks accounts. Where the next provider is to be asked then, to
// correct what is stored, use [Saved]. A [proxyauth.CredentialsObserver] in the
// chain is told what became of the answers that it has given itself.
func Chain(providers ...proxyauth.CredentialsProvider) proxyauth.CredentialsProvider {
	return &chain{providers: slices.Clone(providers)}
}

// Credentials implements [proxyauth.CredentialsProvider].
func (c *chain) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	nobody := &noneError{}
	for i, provider := range c.providers {
		if provider == nil {
			return proxyauth.Credentials{}, fmt.Errorf("proxyauth: provider %d of a chain of credentials is nil", i+1)
		}
		answer, err := provider.Credentials(ctx, req)
		if err == nil {
			c.givers.Put(memo.Answer(req, answer), provider)
			return answer, nil
		}
		if !errors.Is(err, proxyauth.ErrNoCredentials) {
			return proxyauth.Credentials{}, &failure{name: nameOf(provider), err: err}
		}
		nobody.looked = append(nobody.looked, looked(provider, err)...)
	}
	return proxyauth.Credentials{}, nobody
}

// Accepted implements [proxyauth.CredentialsObserver].
func (c *chain) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, answer proxyauth.Credentials) {
	giver, _ := c.givers.Get(memo.Answer(req, answer))
	accepted(ctx, giver, req, answer)
}

// Rejected implements [proxyauth.CredentialsObserver].
func (c *chain) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, answer proxyauth.Credentials) {
	giver, _ := c.givers.Get(memo.Answer(req, answer))
	rejected(ctx, giver, req, answer)
}

// String returns the names of the providers.
func (c *chain) String() string {
	var names []string
	for _, provider := range c.providers {
		names = append(names, nameOf(provider))
	}
	return strings.Join(names, ", ")
}

// accepted tells provider, if it wants to know; it may be nil.
func accepted(ctx context.Context, provider proxyauth.CredentialsProvider, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	if o, ok := provider.(proxyauth.CredentialsObserver); ok {
		o.Accepted(ctx, req, c)
	}
}

// rejected tells provider, if it wants to know; it may be nil.
func rejected(ctx context.Context, provider proxyauth.CredentialsProvider, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	if o, ok := provider.(proxyauth.CredentialsObserver); ok {
		o.Rejected(ctx, req, c)
	}
}
