package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
	"github.com/go-proxyauth/proxyauth/internal/boundedfile"
)

// File is a provider that reads the password, and perhaps the user name, from
// files of their own, as Kubernetes mounts secrets and systemd passes
// credentials. One line break at the end of a file, and a byte order mark at the
// beginning, are not part of the text; anything else is.
//
// The files are read each time the provider is asked, and so again after a
// refusal: if they have changed by then, the new ones are tried at once. If not,
// the answer is the same, and a Transport limits how often it sends it. Files that
// change are read again until they do not, for a second at most, so that a user name
// and a password are of the same time if they are replaced within a tenth of a second
// of each other.
//
// If a file does not exist, the provider has no credentials. A file that is
// empty, that has more than one line, or that anybody may write to, is an error.
// That others may read it is not, since Kubernetes mounts secrets so.
type File struct {
	// PasswordPath is the file with the password.
	PasswordPath string

	// UsernamePath is the file with the user name. If it is empty, the name is
	// that of the field Username.
	UsernamePath string

	// Username is the user name where there is no file with it. If it is empty
	// as well, the name is that in the user info of the proxy's URL.
	Username string
}

const (
	// settleTime is how long after a change of one file the other may still be the old
	// one.
	settleTime = 100 * time.Millisecond

	// maxTornReads bounds how often the files are read anew because they have changed.
	maxTornReads = 10
)

// Credentials implements [proxyauth.CredentialsProvider].
func (f File) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	before, err := f.read(ctx, req)
	for range maxTornReads {
		if err == nil {
			err = before.settle(ctx)
		}
		if err != nil {
			return proxyauth.Credentials{}, err
		}
		// An old name with a new password would be a failed login.
		var after *reading
		after, err = f.read(ctx, req)
		if err == nil && after.same(before) {
			return after.credentials, nil
		}
		before = after
	}
	return proxyauth.Credentials{}, fmt.Errorf("proxyauth: %v: %s keeps changing", f, f.PasswordPath)
}

// String returns the provider's name.
func (File) String() string { return "file" }

// A reading is what the files held, and which they were.
type reading struct {
	credentials proxyauth.Credentials
	files       []*boundedfile.File
}

// same reports whether nothing has changed between two readings.
func (r *reading) same(other *reading) bool {
	return memo.Same(r.credentials, other.credentials) &&
		slices.EqualFunc(r.files, other.files, func(a, b *boundedfile.File) bool {
			return os.SameFile(a.Info, b.Info) && a.Info.ModTime().Equal(b.Info.ModTime())
		})
}

// settle waits if a file has just changed: the other one may be about to.
func (r *reading) settle(ctx context.Context) error {
	if !slices.ContainsFunc(r.files, func(f *boundedfile.File) bool { return time.Since(f.Changed).Abs() < settleTime }) {
		return nil
	}
	select {
	case <-ctx.Done():
		return ended(ctx)
	case <-time.After(settleTime):
		return nil
	}
}

func (f File) read(ctx context.Context, req *proxyauth.CredentialsRequest) (*reading, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	r := &reading{}
	user, err := f.user(ctx, req, r)
	if err != nil {
		return nil, err
	}
	password, err := f.line(ctx, f.PasswordPath, r)
	if err != nil {
		return nil, err
	}
	r.credentials = proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
	return r, nil
}

func (f File) user(ctx context.Context, req *proxyauth.CredentialsRequest, r *reading) (string, error) {
	switch {
	case f.UsernamePath != "":
		return f.line(ctx, f.UsernamePath, r)
	case f.Username != "":
		return f.Username, nil
	case req.UserInfo != nil && req.UserInfo.Username != "":
		return req.UserInfo.Username, nil
	}
	return "", none(f, "no user name is given")
}

// line reads a file of one line, as part of r.
func (f File) line(ctx context.Context, path string, r *reading) (string, error) {
	if path == "" {
		return "", errors.New("proxyauth: file: no PasswordPath is given")
	}
	file, err := readFile(ctx, path, 0o002)
	if errors.Is(err, fs.ErrNotExist) {
		return "", none(f, path+" does not exist")
	} else if err != nil {
		return "", err
	}
	r.files = append(r.files, file)
	text := strings.TrimPrefix(string(file.Data), "\ufeff") // the mark of an editor on Windows
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("proxyauth: file: %s is empty", path)
	}
	if strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("proxyauth: file: %s:1: not a single line of text", path)
	}
	return text, nil
}
