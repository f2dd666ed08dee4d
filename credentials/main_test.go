package credentials_test

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/leaktest"
	"github.com/go-proxyauth/proxyauth/internal/secretscan"
)

// TestMain lets the test binary be the program that a Command runs.
func TestMain(m *testing.M) {
	if mode := os.Getenv("PROXYAUTH_TEST_HELPER"); mode != "" {
		beHelper(mode)
		return
	}
	os.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent") // go-keyring's store for tests needs none
	os.Exit(scanned.Report(leaktest.Run(m)))
}

// scanned looks for passwords in errors and logs.
var scanned = secretscan.New([]string{"ann"}, "s3cret", "hunter2")

// request returns the question for a proxy, whose URL may have user info.
func request(t testing.TB, proxy string, rejected ...proxyauth.Credentials) *proxyauth.CredentialsRequest {
	t.Helper()
	u, err := url.Parse(proxy)
	require.NoError(t, err)
	req := &proxyauth.CredentialsRequest{
		Proxy:    &url.URL{Scheme: u.Scheme, Host: u.Host},
		Scheme:   "Basic",
		Realm:    "Lab",
		Rejected: rejected,
	}
	if u.User != nil {
		password, _ := u.User.Password()
		c := pair(u.User.Username(), password)
		req.UserInfo = &c
	}
	return req
}

func pair(user, password string) proxyauth.Credentials {
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
}

func requireCredentials(t *testing.T, user, password string, c proxyauth.Credentials, err error) {
	t.Helper()
	require.NoError(t, err)
	require.Equal(t, user, c.Username)
	require.Equal(t, password, c.Password.Reveal())
}

func requireNone(t *testing.T, err error, text string) {
	t.Helper()
	scanned.Error(t.Name(), err)
	require.ErrorIs(t, err, proxyauth.ErrNoCredentials)
	require.ErrorContains(t, err, text)
}

func requireFailure(t *testing.T, err error, text string) {
	t.Helper()
	scanned.Error(t.Name(), err)
	require.NotErrorIs(t, err, proxyauth.ErrNoCredentials)
	require.ErrorContains(t, err, text)
}

// writeFile writes a file that only its owner can read, and that nobody has touched for
// an hour, and returns its path.
func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	rewriteFile(t, path, content)
	long := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(path, long, long))
	require.NoError(t, os.Chtimes(filepath.Dir(path), long, long))
	return path
}

func rewriteFile(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// An observer is a provider that notes what it is told.
type observer struct {
	mu                 sync.Mutex
	name               string
	ask                func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error)
	accepted, rejected []string
}

func (o *observer) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	return o.ask(ctx, req)
}

func (o *observer) Accepted(_ context.Context, _ *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.accepted = append(o.accepted, c.Username+":"+c.Password.Reveal())
}

func (o *observer) Rejected(_ context.Context, _ *proxyauth.CredentialsRequest, c proxyauth.Credentials) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rejected = append(o.rejected, c.Username+":"+c.Password.Reveal())
}

func (o *observer) String() string { return o.name }

// always returns an observer that has these credentials.
func always(name, user, password string) *observer {
	return answering(name, pair(user, password), nil)
}

// failing returns an observer that has an error only.
func failing(name string, err error) *observer {
	return answering(name, proxyauth.Credentials{}, err)
}

func answering(name string, c proxyauth.Credentials, err error) *observer {
	return &observer{name: name, ask: func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
		return c, err
	}}
}

// A lockedBuffer is a buffer that several goroutines may write to.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
