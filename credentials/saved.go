package credentials

import (
	"context"
	"errors"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
)

type saved struct {
	store  proxyauth.CredentialsObserver
	source proxyauth.CredentialsProvider

	// fromStore remembers which answers the store gave.
	fromStore memo.Table[bool]
}

// Saved returns a provider that saves the answers of source in store: those of a
// prompt in a [Command] or a keyring.Provider with SaveAndDelete, for example. It asks
// the store first and, if that has no credentials, or only refused ones, the source.
// The store's Accepted and Rejected methods are called for the answers of both, the
// source's for its own.
//
// If one of the two fails, as opposed to having none, its error is returned with
// its name.
func Saved(store proxyauth.CredentialsObserver, source proxyauth.CredentialsProvider) proxyauth.CredentialsProvider {
	return &saved{store: store, source: source}
}

// Credentials implements [proxyauth.CredentialsProvider].
func (s *saved) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if s.store == nil || s.source == nil {
		return proxyauth.Credentials{}, errors.New("proxyauth: saved credentials: store or source is nil")
	}
	c, err := s.store.Credentials(ctx, req)
	if err == nil && !memo.Contains(req.Rejected, c) {
		s.fromStore.Put(memo.Answer(req, c), true)
		return c, nil
	}
	nobody := &noneError{looked: []string{nameOf(s.store) + ": what it has was refused"}}
	if err != nil && !errors.Is(err, proxyauth.ErrNoCredentials) {
		return proxyauth.Credentials{}, &failure{name: nameOf(s.store), err: err}
	} else if err != nil {
		nobody.looked = looked(s.store, err)
	}
	return s.askSource(ctx, req, nobody)
}

func (s *saved) askSource(ctx context.Context, req *proxyauth.CredentialsRequest, nobody *noneError) (proxyauth.Credentials, error) {
	c, err := s.source.Credentials(ctx, req)
	switch {
	case err == nil:
		s.fromStore.Put(memo.Answer(req, c), false)
		return c, nil
	case errors.Is(err, proxyauth.ErrNoCredentials):
		nobody.looked = append(nobody.looked, looked(s.source, err)...)
		return proxyauth.Credentials{}, nobody
	}
	return proxyauth.Credentials{}, &failure{name: nameOf(s.source), err: err}
}

// Accepted implements [proxyauth.CredentialsObserver].
func (s *saved) Accepted(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	s.store.Accepted(ctx, req, c)
	if s.gaveSource(req, c) {
		accepted(ctx, s.source, req, c)
	}
}

// Rejected implements [proxyauth.CredentialsObserver].
func (s *saved) Rejected(ctx context.Context, req *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	s.store.Rejected(ctx, req, c)
	if s.gaveSource(req, c) {
		rejected(ctx, s.source, req, c)
	}
}

func (s *saved) gaveSource(req *proxyauth.CredentialsRequest, c proxyauth.Credentials) bool {
	fromStore, found := s.fromStore.Get(memo.Answer(req, c))
	return found && !fromStore
}

// String returns the names of the two.
func (s *saved) String() string {
	return strings.Join([]string{nameOf(s.store), nameOf(s.source)}, ", ")
}
