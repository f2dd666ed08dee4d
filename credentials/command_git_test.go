package credentials_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
)

// git returns a Command that runs a real helper of git, in a home of its own.
func git(t *testing.T, args ...string) *credentials.Command {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("PROXYAUTH_INTEROP") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var log lockedBuffer
	t.Cleanup(func() { require.Empty(t, log.String()) })
	return &credentials.Command{
		Args:   append([]string{"git"}, args...),
		Env:    append(os.Environ(), "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1"),
		Logger: textLogger(&log),
	}
}

func TestGitCredentialHelpers(t *testing.T) {
	// The path of a Unix socket must be short.
	dir, err := os.MkdirTemp("", "git")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s", "cache")
	cache := []string{"credential-cache", "--socket", socket}
	t.Cleanup(func() {
		if _, err := os.Stat(socket); err == nil {
			require.NoError(t, exec.Command("git", append(cache, "exit")...).Run())
		}
	})
	helpers := map[string][]string{
		"store": {"credential-store", "--file", filepath.Join(t.TempDir(), "credentials")},
		"cache": cache,
	}
	for desc, args := range helpers {
		t.Run(desc, func(t *testing.T) {
			command := git(t, args...)
			req := request(t, proxyText)
			_, err := command.Credentials(t.Context(), req)
			requireNone(t, err, "no credentials for proxy.example.com:3128")

			command.Accepted(t.Context(), req, pair(`CORP\jörg`, "s3:c/r%e t£"))
			c, err := command.Credentials(t.Context(), req)
			requireCredentials(t, `CORP\jörg`, "s3:c/r%e t£", c, err)
			c, err = command.Credentials(t.Context(), request(t, "http://CORP%5Cj%C3%B6rg@proxy.example.com:3128"))
			requireCredentials(t, `CORP\jörg`, "s3:c/r%e t£", c, err)

			for _, other := range []string{"http://proxy.example.com:3129", "https://proxy.example.com:3128", "http://bob@proxy.example.com:3128", "http://example.com:3128"} {
				_, err = command.Credentials(t.Context(), request(t, other))
				requireNone(t, err, "no credentials for")
			}

			command.Rejected(t.Context(), req, c)
			_, err = command.Credentials(t.Context(), req)
			requireNone(t, err, "no credentials for")
		})
	}
}

// What a person has stored for a URL with no port is found.
func TestGitCredentialStoreFileOfAPerson(t *testing.T) {
	path := writeFile(t, "credentials", "http://ann:s3cret@proxy.example.com\nhttps://bob:other@proxy.example.com%3a8443\n")
	command := git(t, "credential-store", "--file", path)
	c, err := command.Credentials(t.Context(), request(t, "http://proxy.example.com:80"))
	requireCredentials(t, "ann", "s3cret", c, err)
	c, err = command.Credentials(t.Context(), request(t, "https://proxy.example.com:8443"))
	requireCredentials(t, "bob", "other", c, err)
}

func TestGitCredentialStoreSavesWhatAPersonSaid(t *testing.T) {
	store := git(t, "credential-store", "--file", filepath.Join(t.TempDir(), "credentials"))
	saved := credentials.Saved(store, always("person", "ann", "s3cret"))
	req := request(t, proxyText)
	c, err := saved.Credentials(t.Context(), req)
	requireCredentials(t, "ann", "s3cret", c, err)
	_, err = store.Credentials(t.Context(), req)
	requireNone(t, err, "no credentials")
	saved.(proxyauth.CredentialsObserver).Accepted(t.Context(), req, c)
	c, err = store.Credentials(t.Context(), req)
	requireCredentials(t, "ann", "s3cret", c, err)
}
