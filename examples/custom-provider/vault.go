package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-proxyauth/proxyauth"
)

// maxAnswer bounds what is read of the vault's answer.
const maxAnswer = 64 << 10

// leaseMargin is how much earlier than the vault says a lease is given up, so
// that a password does not end on its way to the proxy.
const leaseMargin = 10 * time.Second

// vault leases credentials from a server with the API of HashiCorp Vault's
// secrets engines. Put it into a credentials.Cached, which asks again when the lease
// has ended or the proxy has refused the password.
type vault struct {
	// URL is that of the credentials, such as
	// https://vault.example.com/v1/ldap/creds/proxy.
	URL string

	// Token is what the vault knows us by.
	Token proxyauth.Secret

	// Client must reach the vault without the proxy that the credentials are
	// for: otherwise each would wait for the other.
	Client *http.Client
}

// lease is what is used of the vault's answer.
type lease struct {
	Seconds int64 `json:"lease_duration"`
	Data    struct {
		Username string `json:"username"`
		Password string `json:"password"`
	} `json:"data"`
}

// String is the name that errors call the provider by.
func (v *vault) String() string { return "vault" }

// Credentials implements [proxyauth.CredentialsProvider].
func (v *vault) Credentials(ctx context.Context, _ *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	asked := time.Now()
	l, err := v.lease(ctx)
	if err != nil {
		return proxyauth.Credentials{}, err
	}
	c := proxyauth.Credentials{Username: l.Data.Username, Password: proxyauth.NewSecret(l.Data.Password)}
	if l.Seconds > 0 {
		c.Expires = asked.Add(time.Duration(l.Seconds)*time.Second - leaseMargin)
	}
	return c, nil
}

func (v *vault) lease(ctx context.Context) (*lease, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Token", v.Token.Reveal())
	resp, err := v.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return readLease(resp.Body)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%w: vault: no such role", proxyauth.ErrNoCredentials)
	}
	return nil, fmt.Errorf("the answer is %s", resp.Status)
}

// readLease hides the decoder's error, which may quote the password.
func readLease(r io.Reader) (*lease, error) {
	l := new(lease)
	if err := json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(l); err != nil {
		return nil, errors.New("the answer is malformed")
	}
	if l.Data.Username == "" || l.Data.Password == "" {
		return nil, errors.New("the answer has no credentials in it")
	}
	return l, nil
}
