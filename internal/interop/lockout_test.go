package interop_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
)

const lockoutWorkers = 100

// Directories lock an account after a few wrong passwords, which a program with
// many goroutines would otherwise reach within a second of a change of password.
func TestWrongPasswordIsSentOnce(t *testing.T) {
	t.Parallel()
	for _, tc := range proxies {
		if !tc.logsLegs {
			continue
		}
		for _, way := range []string{"forwarded", "tunnelled"} {
			t.Run(tc.desc+", "+way, func(t *testing.T) {
				t.Parallel()
				proxy, origin := tc.proxy.Start(t), newOrigin(t)
				client := newClient(t, origin, proxy, proxy.URL, wrong)
				concurrently(t, lockoutWorkers, func() error {
					return refusal(client, origin.targets()[way])
				})
				proxy.Stop()
				require.Equal(t, 1, authorized(proxy.Legs(t)))
			})
		}
	}
}

func TestCorrectedPasswordIsTaken(t *testing.T) {
	t.Parallel()
	for _, tc := range proxies {
		// tinyproxy's refusal can't be told from the origin's 401.
		if tc.refusesWith != http.StatusProxyAuthRequired {
			continue
		}
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			proxy, origin := tc.proxy.Start(t), newOrigin(t)
			for _, target := range origin.targets() {
				requireCorrectable(t, bareTransport(t, origin, proxy, proxy.URL), target)
			}
		})
	}
}

func requireCorrectable(t *testing.T, base *http.Transport, target string) {
	t.Helper()
	var password atomic.Value
	password.Store(wrong.Password)
	transport := newTransport(t, base, ann)
	transport.Credentials = changing(ann.Username, &password)
	client := clientOf(t, transport, base)

	require.NoError(t, refusal(client, target))
	password.Store(ann.Password)
	require.NoError(t, fetch(client, target))
}

// changing returns a provider that asks for the password each time.
func changing(username string, password *atomic.Value) proxyauth.CredentialsFunc {
	return func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		account := interop.Account{Username: username, Password: password.Load().(string)}
		return credentialsOf(account), nil
	}
}

// refusal returns an error unless a request is refused for its credentials.
func refusal(client *http.Client, target string) error {
	return refusalAs(proxyauth.CauseCredentialsRejected, client, target)
}

func refusalAs(cause proxyauth.Cause, client *http.Client, target string) error {
	resp, err := client.Get(target)
	why, _ := errors.AsType[*proxyauth.Error](err)
	if err == nil {
		defer resp.Body.Close()
		why, _ = proxyauth.ResponseError(resp)
	}
	if why == nil || why.Cause != cause || !errors.Is(why, proxyauth.ErrRejected) {
		return fmt.Errorf("%v, because of %v", err, why)
	}
	return nil
}
