package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/memo"
)

// File is a provider that reads the password, and perhaps the user name, from
// files of their own, as Kubernetes mounts secrets and systemd passes
// credentials. One line break at the end of a file is not part of the text;
// anything else is.
//
// The files are read each time the provider is asked, and so again after a
// refusal: if they have changed by then, the new ones are tried at once. If not,
// the answer is the same, and a Transport limits how often it sends it.
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

// maxTornReads bounds how often the pair of files is read anew because one of
// them changed meanwhile.
const maxTornReads = 4

// Credentials implements [proxyauth.CredentialsProvider].
func (f File) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	before, err := f.read(ctx, req)
	for range maxTornReads {
		if err != nil {
			return proxyauth.Credentials{}, err
		}
		// An old name with a new password would be a failed login.
		var after proxyauth.Credentials
		after, err = f.read(ctx, req)
		if err == nil && memo.Same(before, after) {
			return after, nil
		}
		before = after
	}
	return proxyauth.Credentials{}, fmt.Errorf("proxyauth: %v: %s keeps changing", f, f.PasswordPath)
}

// String returns the provider's name.
func (File) String() string { return "file" }

func (f File) read(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if err := ended(ctx); err != nil {
		return proxyauth.Credentials{}, err
	}
	user, err := f.user(req)
	if err != nil {
		return proxyauth.Credentials{}, err
	}
	password, err := f.line(f.PasswordPath)
	if err != nil {
		return proxyauth.Credentials{}, err
	}
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
}

func (f File) user(req *proxyauth.CredentialsRequest) (string, error) {
	switch {
	case f.UsernamePath != "":
		return f.line(f.UsernamePath)
	case f.Username != "":
		return f.Username, nil
	case req.UserInfo != nil && req.UserInfo.Username != "":
		return req.UserInfo.Username, nil
	}
	return "", none(f, "no user name is given")
}

func (f File) line(path string) (string, error) {
	if path == "" {
		return "", errors.New("proxyauth: file: no PasswordPath is given")
	}
	data, err := readFile(path, 0o002)
	if errors.Is(err, fs.ErrNotExist) {
		return "", none(f, path+" does not exist")
	} else if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("proxyauth: file: %s is empty", path)
	}
	if strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("proxyauth: file: %s:1: not a single line of text", path)
	}
	return text, nil
}
