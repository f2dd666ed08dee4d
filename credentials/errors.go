package credentials

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// A noneError says that there are no credentials, and where was looked.
type noneError struct {
	looked []string
}

func none(provider fmt.Stringer, why string) error {
	return &noneError{looked: []string{provider.String() + ": " + why}}
}

func (e *noneError) Error() string {
	if len(e.looked) == 0 {
		return proxyauth.ErrNoCredentials.Error()
	}
	return proxyauth.ErrNoCredentials.Error() + ": " + strings.Join(e.looked, "; ")
}

func (e *noneError) Unwrap() error { return proxyauth.ErrNoCredentials }

// looked returns where err says that was looked.
func looked(provider proxyauth.CredentialsProvider, err error) []string {
	if e, ok := errors.AsType[*noneError](err); ok {
		return e.looked
	}
	text, found := strings.CutPrefix(err.Error(), proxyauth.ErrNoCredentials.Error())
	if !found {
		text = ": " + bare(err)
	}
	if text == "" {
		return []string{nameOf(provider)}
	}
	return []string{prefixed(nameOf(provider), strings.TrimPrefix(text, ": "))}
}

// A failure is the error of a provider that could not find out, with the
// provider's name.
type failure struct {
	name string
	err  error
}

func (f *failure) Error() string {
	return "proxyauth: credentials: " + prefixed(f.name, bare(f.err))
}

func (f *failure) Unwrap() error { return f.err }

// nameOf returns what provider calls itself: its String, or the name of its
// type.
func nameOf(provider proxyauth.CredentialsProvider) string {
	if s, ok := provider.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", provider)
}

func bare(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "proxyauth: "), "credentials: ")
}

// prefixed does not repeat a name that the text begins with already.
func prefixed(name, text string) string {
	if strings.HasPrefix(text, name) {
		return text
	}
	return name + ": " + text
}

// ended returns an error if ctx has ended.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("proxyauth: asking for credentials: %w", context.Cause(ctx))
}
