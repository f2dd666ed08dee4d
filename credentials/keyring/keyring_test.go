package keyring_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/credentials/keyring"
)

const service = "http://proxy.example.com:3128"

func proxyURL() *url.URL { return &url.URL{Scheme: "http", Host: "proxy.example.com:3128"} }

func request(user string, rejected ...proxyauth.Credentials) *proxyauth.CredentialsRequest {
	req := &proxyauth.CredentialsRequest{Proxy: proxyURL(), Scheme: "Basic", Rejected: rejected}
	if user != "" {
		req.UserInfo = &proxyauth.Credentials{Username: user}
	}
	return req
}

func pair(user, password string) proxyauth.Credentials {
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
}

// secretTool runs libsecret's own tool, which knows nothing of our code.
func secretTool(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("secret-tool", args...)
	cmd.Stdin = strings.NewReader(stdin)
	// It ends with an error if there is nothing.
	output, _ := cmd.Output()
	return string(output)
}

func requireStored(t *testing.T, p *keyring.Provider, user, password string) {
	t.Helper()
	c, err := p.Credentials(t.Context(), request(user))
	if password == "" {
		require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
		return
	}
	require.NoError(t, err)
	require.Equal(t, user, c.Username)
	require.Equal(t, password, c.Password.Reveal())
}

func TestReadsWhatAnotherProgramStored(t *testing.T) {
	needKeyring(t)
	secretTool(t, "s3cret £", "store", "--label=proxy", "service", service, "username", `CORP\ann`)
	requireStored(t, new(keyring.Provider), `CORP\ann`, "s3cret £")
	c, err := (&keyring.Provider{Username: `CORP\ann`}).Credentials(t.Context(), request("bob"))
	require.NoError(t, err)
	require.Equal(t, `CORP\ann`, c.Username)
	requireStored(t, new(keyring.Provider), "bob", "")
	requireStored(t, &keyring.Provider{Service: "Px"}, `CORP\ann`, "")
	secretTool(t, "other", "store", "--label=px", "service", "Px", "username", `CORP\ann`)
	defer secretTool(t, "", "clear", "service", "Px", "username", `CORP\ann`)
	requireStored(t, &keyring.Provider{Service: "Px"}, `CORP\ann`, "other")
}

func TestSaveAndDelete(t *testing.T) {
	needKeyring(t)
	p := new(keyring.Provider)
	require.NoError(t, p.Save(t.Context(), proxyURL(), pair("save", "first")))
	requireStored(t, p, "save", "first")
	require.NoError(t, p.Save(t.Context(), proxyURL(), pair("save", "second")))
	requireStored(t, p, "save", "second")
	require.Equal(t, "second", secretTool(t, "", "lookup", "service", service, "username", "save"))
	require.NoError(t, p.Delete(t.Context(), proxyURL(), "save"))
	requireStored(t, p, "save", "")
	require.NoError(t, p.Delete(t.Context(), proxyURL(), "save"))
}

func TestOnlyReadsUnlessItManages(t *testing.T) {
	needKeyring(t)
	p := new(keyring.Provider)
	require.NoError(t, p.Save(t.Context(), proxyURL(), pair("reader", "s3cret")))
	p.Rejected(t.Context(), request("reader"), pair("reader", "s3cret"))
	p.Accepted(t.Context(), request("reader"), pair("reader", "other"))
	requireStored(t, p, "reader", "s3cret")
}

func TestManages(t *testing.T) {
	needKeyring(t)
	p := &keyring.Provider{SaveAndDelete: true}
	asked := 0
	person := proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		asked++
		return pair("manager", []string{"first", "second"}[asked-1]), nil
	})
	saved := credentials.Saved(p, person).(proxyauth.CredentialsObserver)
	req := request("manager")
	c, err := saved.Credentials(t.Context(), req)
	require.NoError(t, err)
	saved.Accepted(t.Context(), req, c)
	requireStored(t, p, "manager", "first")

	c, err = saved.Credentials(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, "first", c.Password.Reveal())
	require.Equal(t, 1, asked)

	saved.Rejected(t.Context(), req, pair("manager", "something else"))
	requireStored(t, p, "manager", "first")
	saved.Rejected(t.Context(), req, c)
	requireStored(t, p, "manager", "")

	c, err = saved.Credentials(t.Context(), request("manager", c))
	require.NoError(t, err)
	require.Equal(t, "second", c.Password.Reveal())
}

// The rejection contract: what is stored is answered, and what is stored anew is
// answered at once.
func TestRejectionContract(t *testing.T) {
	needKeyring(t)
	p := new(keyring.Provider)
	old := pair("rotating", "old")
	require.NoError(t, p.Save(t.Context(), proxyURL(), old))
	for range 2 {
		c, err := p.Credentials(t.Context(), request("rotating", old))
		require.NoError(t, err)
		require.Equal(t, "old", c.Password.Reveal())
	}
	require.NoError(t, p.Save(t.Context(), proxyURL(), pair("rotating", "new")))
	c, err := p.Credentials(t.Context(), request("rotating", old))
	require.NoError(t, err)
	require.Equal(t, "new", c.Password.Reveal())
}

func TestConcurrentUse(t *testing.T) {
	needKeyring(t)
	p := new(keyring.Provider)
	require.NoError(t, p.Save(t.Context(), proxyURL(), pair("many", "s3cret")))
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() { requireStored(t, p, "many", "s3cret") })
	}
	callers.Wait()
}

func TestRefusesControlCharacters(t *testing.T) {
	var log bytes.Buffer
	p := &keyring.Provider{SaveAndDelete: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	_, err := p.Credentials(t.Context(), request("ann\nadd"))
	require.ErrorContains(t, err, "proxyauth: keyring: a control character")
	require.NotErrorIs(t, err, proxyauth.ErrNoCredentials)
	require.ErrorContains(t, p.Save(t.Context(), proxyURL(), pair("ann\n", "x")), "a control character")
	require.ErrorContains(t, p.Delete(t.Context(), proxyURL(), "ann\n"), "a control character")
	p.Accepted(t.Context(), request(""), pair("ann\n", "s3cret"))
	require.Contains(t, log.String(), "doing=storing")
	require.NotContains(t, log.String(), "s3cret")
}

func TestNeedsAUserName(t *testing.T) {
	_, err := new(keyring.Provider).Credentials(t.Context(), request(""))
	require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
	require.EqualError(t, err, "proxyauth: no credentials: keyring: no user name is given")
}

func TestEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := new(keyring.Provider).Credentials(ctx, request("ann"))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, proxyauth.ErrNoCredentials)
}
