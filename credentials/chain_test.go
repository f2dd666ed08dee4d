package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
)

const proxyText = "http://proxy.example.com:3128"

func TestChainStopsAtTheFirstThatHasCredentials(t *testing.T) {
	chain := credentials.Chain(
		credentials.ProxyURL(),
		failing("empty", fmt.Errorf("nothing here: %w", proxyauth.ErrNoCredentials)),
		always("first", "ann", "s3cret"),
		failing("never asked", errors.New("asked")),
	)
	c, err := chain.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "s3cret", c, err)
}

func TestChainStopsAtRefusedCredentials(t *testing.T) {
	chain := credentials.Chain(credentials.Static("ann", "old"), credentials.Static("ann", "new"))
	c, err := chain.Credentials(t.Context(), request(t, proxyText, pair("ann", "old")))
	requireCredentials(t, "ann", "old", c, err)
}

func TestChainReportsAFailureWithTheName(t *testing.T) {
	broken := errors.New("proxyauth: no route to the vault")
	tests := []struct {
		desc     string
		provider proxyauth.CredentialsProvider
		want     string
	}{
		{"named by String", failing("vault", broken), "proxyauth: credentials: vault: no route to the vault"},
		{"named by its type", unnamed{broken}, "proxyauth: credentials: credentials_test.unnamed: no route to the vault"},
		{"name in the error already", failing("no route", broken), "proxyauth: credentials: no route to the vault"},
		{"chain in a chain", credentials.Chain(failing("vault", broken)), "proxyauth: credentials: vault: no route to the vault"},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			chain := credentials.Chain(credentials.ProxyURL(), test.provider, always("next", "ann", "s3cret"))
			c, err := chain.Credentials(t.Context(), request(t, proxyText))
			require.ErrorIs(t, err, broken)
			requireFailure(t, err, test.want)
			require.Equal(t, test.want, err.Error())
			require.Zero(t, c.Username)
		})
	}
}

type unnamed struct{ err error }

func (u unnamed) Credentials(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	return proxyauth.Credentials{}, u.err
}

func TestChainListsWhereItLooked(t *testing.T) {
	t.Setenv("PROXY_USER", "")
	chain := credentials.Chain(
		credentials.ProxyURL(),
		credentials.Chain(credentials.Environment("", "")),
		credentials.Netrc{Path: "/nowhere/netrc"},
		unnamed{proxyauth.ErrNoCredentials},
		failing("own text", fmt.Errorf("%w: drawer is empty", proxyauth.ErrNoCredentials)),
		failing("own order", fmt.Errorf("proxyauth: drawer: %w", proxyauth.ErrNoCredentials)),
	)
	_, err := chain.Credentials(t.Context(), request(t, proxyText))
	require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
	require.Equal(t, "proxyauth: no credentials: "+
		"user info of the proxy's URL: the URL has none; "+
		"environment: PROXY_USER is not set; "+
		"netrc: /nowhere/netrc does not exist; "+
		"credentials_test.unnamed; "+
		"own text: drawer is empty; "+
		"own order: drawer: proxyauth: no credentials", err.Error())
}

func TestChainOfNothing(t *testing.T) {
	_, err := credentials.Chain().Credentials(t.Context(), request(t, proxyText))
	requireNone(t, err, "proxyauth: no credentials")
	_, err = credentials.Chain(nil).Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "provider 1 of a chain of credentials is nil")
}

func TestChainDoesNotKeepTheCallersSlice(t *testing.T) {
	providers := []proxyauth.CredentialsProvider{always("a", "ann", "s3cret")}
	chain := credentials.Chain(providers...)
	providers[0] = nil
	c, err := chain.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "s3cret", c, err)
}

// wrappers returns a provider over source, for each that hands on what became of
// an answer.
func wrappers(source proxyauth.CredentialsProvider) map[string]proxyauth.CredentialsProvider {
	empty := failing("empty", proxyauth.ErrNoCredentials)
	return map[string]proxyauth.CredentialsProvider{
		"chain":           credentials.Chain(empty, source, always("other", "bob", "other")),
		"cached":          &credentials.Cached{Source: source},
		"saved":           credentials.Saved(empty, source),
		"chain of cached": credentials.Chain(&credentials.Cached{Source: source}),
		"cached chain":    &credentials.Cached{Source: credentials.Chain(empty, source)},
	}
}

func TestWrappersTellTheGiver(t *testing.T) {
	for desc := range wrappers(nil) {
		t.Run(desc, func(t *testing.T) {
			source := always("source", "ann", "s3cret")
			provider := wrappers(source)[desc].(proxyauth.CredentialsObserver)
			req := request(t, proxyText)
			c, err := provider.Credentials(t.Context(), req)
			requireCredentials(t, "ann", "s3cret", c, err)
			provider.Accepted(t.Context(), req, c)
			require.Equal(t, []string{"ann:s3cret"}, source.accepted)
			provider.Rejected(t.Context(), req, c)
			require.Equal(t, []string{"ann:s3cret"}, source.rejected)
		})
	}
}

func TestChainTellsNobodyElse(t *testing.T) {
	first := failing("first", proxyauth.ErrNoCredentials)
	second, third := always("second", "ann", "s3cret"), always("third", "ann", "s3cret")
	chain := credentials.Chain(first, second, third).(proxyauth.CredentialsObserver)
	req := request(t, proxyText)
	c, err := chain.Credentials(t.Context(), req)
	require.NoError(t, err)
	chain.Accepted(t.Context(), req, c)
	chain.Rejected(t.Context(), req, pair("bob", "never given"))
	chain.Rejected(t.Context(), request(t, "http://other.example.com:3128"), c)
	require.Equal(t, []string{"ann:s3cret"}, second.accepted)
	for _, o := range []*observer{first, second, third} {
		require.Empty(t, o.rejected)
	}
	require.Empty(t, first.accepted)
	require.Empty(t, third.accepted)
}

func TestWrappersHandOnTheExpiry(t *testing.T) {
	want := time.Now().Add(time.Hour)
	source := proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		c := pair("ann", "s3cret")
		c.Expires = want
		return c, nil
	})
	for desc, provider := range wrappers(source) {
		t.Run(desc, func(t *testing.T) {
			for range 2 {
				c, err := provider.Credentials(t.Context(), request(t, proxyText))
				require.NoError(t, err)
				require.Equal(t, want, c.Expires)
			}
		})
	}
}

func TestSavedAsksTheSourceWhatTheStoreLacks(t *testing.T) {
	tests := []struct {
		desc     string
		store    *observer
		rejected []proxyauth.Credentials
		want     string
	}{
		{desc: "stored", store: always("store", "ann", "stored"), want: "stored"},
		{desc: "not stored", store: failing("store", proxyauth.ErrNoCredentials), want: "asked"},
		{desc: "stored, refused", store: always("store", "ann", "stored"), rejected: []proxyauth.Credentials{pair("ann", "stored")}, want: "asked"},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			source := always("source", "ann", "asked")
			saved := credentials.Saved(test.store, source).(proxyauth.CredentialsObserver)
			req := request(t, proxyText, test.rejected...)
			c, err := saved.Credentials(t.Context(), req)
			requireCredentials(t, "ann", test.want, c, err)
			saved.Accepted(t.Context(), req, c)
			saved.Rejected(t.Context(), req, c)
			want := []string{"ann:" + test.want}
			require.Equal(t, want, test.store.accepted)
			require.Equal(t, want, test.store.rejected)
			require.Equal(t, test.want == "asked", len(source.accepted) == 1)
			require.Equal(t, test.want == "asked", len(source.rejected) == 1)
		})
	}
}

func TestSavedNeedsBoth(t *testing.T) {
	for _, saved := range []proxyauth.CredentialsProvider{
		credentials.Saved(nil, always("source", "ann", "s3cret")),
		credentials.Saved(failing("store", proxyauth.ErrNoCredentials), nil),
	} {
		_, err := saved.Credentials(t.Context(), request(t, proxyText))
		requireFailure(t, err, "store or source is nil")
	}
}

func TestSavedReportsErrors(t *testing.T) {
	broken := errors.New("locked")
	empty, source := failing("drawer", proxyauth.ErrNoCredentials), failing("source", proxyauth.ErrNoCredentials)
	_, err := credentials.Saved(failing("store", broken), source).Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "proxyauth: credentials: store: locked")
	_, err = credentials.Saved(empty, failing("source", broken)).Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "proxyauth: credentials: source: locked")
	_, err = credentials.Saved(empty, source).Credentials(t.Context(), request(t, proxyText))
	requireNone(t, err, "proxyauth: no credentials: drawer; source")
	store := always("store", "ann", "old")
	_, err = credentials.Saved(store, source).Credentials(t.Context(), request(t, proxyText, pair("ann", "old")))
	requireNone(t, err, "store: what it has was refused; source")
}
