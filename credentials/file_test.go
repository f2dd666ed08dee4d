package credentials_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/internal/sample"
)

func TestFile(t *testing.T) {
	tests := []struct {
		desc              string
		user, password    string
		proxy             string
		wantUser, wantPwd string
		failure           string
	}{
		{desc: "plain", user: "ann", password: "s3cret", wantUser: "ann", wantPwd: "s3cret"},
		{desc: "line break at the end", user: "ann\n", password: "s3cret\r\n", wantUser: "ann", wantPwd: "s3cret"},
		{desc: "byte order mark", user: "\ufeffann\r\n", password: "\ufeffs3cret\r\n", wantUser: "ann", wantPwd: "s3cret"},
		{desc: "byte order mark alone", user: "ann", password: "\ufeff\n", failure: "password is empty"},
		{desc: "blanks are text", user: "ann", password: " s3cret \n", wantUser: "ann", wantPwd: " s3cret "},
		{desc: "one line break only", user: "ann", password: "s3cret\n\n", failure: "password:1: not a single line of text"},
		{desc: "two lines", user: "ann", password: "s3cret\nmore", failure: "password:1: not a single line of text"},
		{desc: "NUL", user: "ann", password: "s3\x00cret", failure: "password:1: not a single line of text"},
		{desc: "empty", user: "ann", password: "\n", failure: "password is empty"},
		{desc: "empty user", user: "", password: "s3cret", failure: "username is empty"},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			provider := credentials.File{
				UsernamePath: writeFile(t, "username", test.user),
				PasswordPath: writeFile(t, "password", test.password),
			}
			c, err := provider.Credentials(t.Context(), request(t, proxyText))
			if test.failure == "" {
				requireCredentials(t, test.wantUser, test.wantPwd, c, err)
				return
			}
			requireFailure(t, err, test.failure)
			require.NotContains(t, err.Error(), "cret")
		})
	}
}

func TestFileUserName(t *testing.T) {
	path := writeFile(t, "password", "s3cret")
	c, err := credentials.File{PasswordPath: path, Username: "ann"}.Credentials(t.Context(), request(t, "http://bob@proxy.example.com:3128"))
	requireCredentials(t, "ann", "s3cret", c, err)
	c, err = credentials.File{PasswordPath: path}.Credentials(t.Context(), request(t, "http://bob@proxy.example.com:3128"))
	requireCredentials(t, "bob", "s3cret", c, err)
	_, err = credentials.File{PasswordPath: path}.Credentials(t.Context(), request(t, proxyText))
	requireNone(t, err, "file: no user name is given")
	_, err = credentials.File{Username: "ann"}.Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "no PasswordPath is given")
	_, err = credentials.File{Username: "ann", PasswordPath: path + "x"}.Credentials(t.Context(), request(t, proxyText))
	requireNone(t, err, "passwordx does not exist")
}

// Kubernetes exchanges a directory behind a symbolic link.
func TestFileFollowsAMountedSecret(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "..data")
	mount := func(version, user, password string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o755))
		rewriteFile(t, filepath.Join(dir, version, "username"), user)
		rewriteFile(t, filepath.Join(dir, version, "password"), password)
		require.NoError(t, os.Symlink(version, data+"_tmp"))
		require.NoError(t, os.Rename(data+"_tmp", data))
	}
	if runtime.GOOS == "windows" {
		t.Skip("no mounted secrets")
	}
	provider := credentials.File{UsernamePath: filepath.Join(data, "username"), PasswordPath: filepath.Join(data, "password")}
	mount("..1", "ann", "old")
	c, err := provider.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "old", c, err)
	mount("..2", "bob", "new")
	c, err = provider.Credentials(t.Context(), request(t, proxyText, c))
	requireCredentials(t, "bob", "new", c, err)
}

// A secret whose two files are replaced one after the other, while it is read, is never
// torn: the user name of one version does not come with the password of another.
func TestFileNeverTearsASecret(t *testing.T) {
	for desc, pause := range map[string]struct{ between, after time.Duration }{
		"at once":     {0, 300 * time.Millisecond},
		"with a gap":  {50 * time.Millisecond, 300 * time.Millisecond},
		"without end": {time.Millisecond, time.Millisecond},
	} {
		t.Run(desc, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			replace := func(name, content string) {
				rewriteFile(t, filepath.Join(dir, name+".new"), content)
				require.NoError(t, os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)))
			}
			replace("username", "ann0")
			replace("password", "0")
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(sample.Size(400, 1000))*time.Millisecond)
			defer cancel()
			var readers sync.WaitGroup
			var read, torn atomic.Int64
			for range 8 {
				readers.Go(func() {
					provider := credentials.File{UsernamePath: filepath.Join(dir, "username"), PasswordPath: filepath.Join(dir, "password")}
					for ctx.Err() == nil {
						c, err := provider.Credentials(ctx, request(t, proxyText))
						if err == nil {
							read.Add(1)
							if c.Username != "ann"+c.Password.Reveal() {
								torn.Add(1)
							}
						}
					}
				})
			}
			late := false // for a File, which waits for 0.1 s
			for n := 0; ctx.Err() == nil; n++ {
				began := time.Now()
				replace("username", fmt.Sprint("ann", n%2))
				time.Sleep(pause.between)
				replace("password", fmt.Sprint(n%2))
				late = late || time.Since(began) > 90*time.Millisecond
				time.Sleep(pause.after)
			}
			readers.Wait()
			require.True(t, torn.Load() == 0 || late, "%d of %d torn", torn.Load(), read.Load())
			if pause.after > time.Millisecond {
				require.Positive(t, read.Load())
			}
		})
	}
}

func TestFilePermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	provider := credentials.File{Username: "ann", PasswordPath: writeFile(t, "password", "s3cret")}
	for mode, ok := range map[os.FileMode]bool{0o400: true, 0o440: true, 0o644: true, 0o664: true, 0o646: false, 0o666: false, 0o777: false} {
		require.NoError(t, os.Chmod(provider.PasswordPath, mode))
		c, err := provider.Credentials(t.Context(), request(t, proxyText))
		if ok {
			requireCredentials(t, "ann", "s3cret", c, err)
		} else {
			requireFailure(t, err, "too open")
		}
	}
}
