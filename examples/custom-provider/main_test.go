package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// A lab is a vault, a proxy that takes the vault's passwords, and an origin.
type lab struct {
	t      *testing.T
	users  *testproxy.Accounts
	base   *http.Transport
	origin string
	vault  *vault
	leases atomic.Int32
	answer func() string
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, users: &testproxy.Accounts{Passwords: map[string]string{}}}
	l.answer = l.newLease
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	network := testproxy.NewNetwork()
	proxy := testproxy.Start(t, testproxy.Config{Network: network, Auth: []testproxy.Mechanism{&testproxy.Basic{Accounts: l.users, Realm: "Lab"}}})
	l.origin = testproxy.StartOrigin(t, testproxy.OriginConfig{Network: network}).URL()
	l.base = &http.Transport{Proxy: http.ProxyURL(proxy.URL()), DialContext: network.DialContext}
	l.vault = &vault{URL: server.URL + "/v1/ldap/creds/proxy", Token: proxyauth.NewSecret("token"), Client: server.Client()}
	return l
}

func (l *lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("X-Vault-Token") != "token":
		http.Error(w, "permission denied", http.StatusForbidden)
	case r.URL.Path != "/v1/ldap/creds/proxy":
		http.NotFound(w, r)
	default:
		fmt.Fprint(w, l.answer())
	}
}

// newLease makes a new password, which ends the one before.
func (l *lab) newLease() string {
	password := fmt.Sprintf("s3cret-%d", l.leases.Add(1))
	l.users.SetPassword("ann", password)
	return fmt.Sprintf(`{"lease_duration": 3600, "data": {"username": "ann", "password": "%s"}}`, password)
}

func (l *lab) fetch(client *http.Client) (string, error) {
	var b strings.Builder
	err := fetch(l.t.Context(), client, l.origin, &b)
	return b.String(), err
}

func (l *lab) client() *http.Client {
	client := newClient(l.base, l.vault)
	l.t.Cleanup(client.CloseIdleConnections)
	return client
}

func TestFetchesWithALeasedPassword(t *testing.T) {
	l := newLab(t)
	client := l.client()
	for range 3 {
		page, err := l.fetch(client)
		require.NoError(t, err)
		require.Contains(t, page, "hello")
	}
	require.EqualValues(t, 1, l.leases.Load())
	require.Zero(t, l.users.Failures("ann"))
}

func TestLeasesAnewAfterARefusal(t *testing.T) {
	l := newLab(t)
	client := l.client()
	_, err := l.fetch(client)
	require.NoError(t, err)
	l.users.SetPassword("ann", "revoked")
	page, err := l.fetch(client)
	require.NoError(t, err)
	require.Contains(t, page, "hello")
	require.EqualValues(t, 2, l.leases.Load())
	require.Equal(t, 1, l.users.Failures("ann"))
}

func TestLeasesAnewWhenTheLeaseEnds(t *testing.T) {
	l := newLab(t)
	leased, err := l.vault.Credentials(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, leased.Expires.Before(time.Now().Add(time.Hour)))
	l.answer = func() string {
		return strings.Replace(l.newLease(), "3600", "1", 1)
	}
	cached := &credentials.Cached{Source: l.vault}
	req := &proxyauth.CredentialsRequest{Proxy: &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}}
	for _, want := range []string{"s3cret-2", "s3cret-3"} {
		c, err := cached.Credentials(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, want, c.Password.Reveal())
	}
}

func TestRefusedPasswordIsAnError(t *testing.T) {
	l := newLab(t)
	l.answer = func() string { return `{"data": {"username": "ann", "password": "wrong"}}` }
	_, err := l.fetch(l.client())
	e, ok := errors.AsType[*proxyauth.Error](err)
	require.True(t, ok)
	require.Equal(t, proxyauth.CauseCredentialsRejected, e.Cause)
}

// A page of the origin server is one whatever its status, also a 407, which has no
// *Error.
func TestPagesOfTheOrigin(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusProxyAuthRequired} {
		origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, "page")
		}))
		defer origin.Close()
		var b strings.Builder
		err := fetch(t.Context(), newClient(&http.Transport{}, &vault{}), origin.URL, &b)
		require.NoError(t, err)
		require.Equal(t, "page", b.String())
	}
}

func TestVaultFailures(t *testing.T) {
	tests := []struct {
		desc   string
		change func(l *lab)
		want   string
		none   bool
	}{
		{desc: "wrong token", change: func(l *lab) { l.vault.Token = proxyauth.NewSecret("wrong") }, want: "vault: the answer is 403 Forbidden"},
		{desc: "no such role", change: func(l *lab) { l.vault.URL += "x" }, want: "vault: no such role", none: true},
		{desc: "malformed", change: func(l *lab) { l.answer = func() string { return `{"data": s3cret` } }, want: "vault: the answer is malformed"},
		{desc: "empty", change: func(l *lab) { l.answer = func() string { return `{}` } }, want: "vault: the answer has no credentials in it"},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			l := newLab(t)
			test.change(l)
			_, err := l.fetch(l.client())
			require.ErrorContains(t, err, test.want)
			require.Equal(t, test.none, errors.Is(err, proxyauth.ErrNoCredentials))
			require.NotContains(t, err.Error(), "s3cret")
			require.NotContains(t, err.Error(), "wrong")
		})
	}
}
