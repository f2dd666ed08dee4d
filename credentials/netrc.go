package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials/internal/netrc"
)

// Netrc is a provider that looks in a netrc file for the proxy's host:
//
//	machine proxy.example.com login ann password s3cret
//
// The first entry counts whose machine is the host, without regard to case and
// with no wildcard of any kind, and whose login is the one asked for, if one is:
// that of the field Login or else of the proxy URL's user info. An entry with no
// login takes the one asked for. An entry with a port or protocol, as other
// programs write them, counts only for a proxy on that port, or of that URL
// scheme.
//
// An entry with no password is none, unlike in curl, which sends an empty one: that
// would be a failed login, and the next provider of a [Chain] would not be asked.
// Whose password is empty writes password "".
//
// Values may be quoted as in curl, and must be if they contain blanks. Comments
// go from # to the end of the line. Macros are skipped, and so is, word by word as
// in curl, what is no keyword where one belongs, such as "force yes". A malformed
// file is an error with the file's name and the line, even if an entry precedes
// the mistake; a second login or password in one entry is such, as what follows a
// misspelled "machine" is for another host.
//
// The file is read each time the provider is asked, and so again after a refusal;
// if it has not changed, the answer is the same, and a Transport does not send
// it again.
//
// The zero value is ready to use.
type Netrc struct {
	// Path is the file. If it is empty, it is the one that the environment
	// variable NETRC names, or else .netrc in the home directory, on Windows
	// _netrc before .netrc.
	Path string

	// Login is the user whose entry is looked for. If it is empty, it is the
	// user of the proxy's URL or else any.
	Login string

	// Default lets the file's entry "default" answer for proxies that have no
	// entry. It sends the password in it to whatever proxy is configured.
	Default bool

	// InsecurePermissions lets the file be one that other users can read or
	// write. Without it such a file is refused, except on Windows.
	InsecurePermissions bool
}

// Credentials implements [proxyauth.CredentialsProvider].
func (n Netrc) Credentials(ctx context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
	if err := ended(ctx); err != nil {
		return proxyauth.Credentials{}, err
	}
	path, err := n.path()
	if err != nil {
		return proxyauth.Credentials{}, err
	}
	entries, err := n.read(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return proxyauth.Credentials{}, none(n, path+" does not exist")
	} else if err != nil {
		return proxyauth.Credentials{}, err
	}
	search := netrcSearch{proxy: req.Proxy, login: n.login(req), useDefault: n.Default}
	if c, found := search.find(entries); found {
		return c, nil
	}
	return proxyauth.Credentials{}, none(n, "no entry for "+req.Proxy.Host+" in "+path)
}

// String returns the provider's name.
func (Netrc) String() string { return "netrc" }

func (n Netrc) path() (string, error) {
	if n.Path != "" {
		return n.Path, nil
	}
	if path := os.Getenv("NETRC"); path != "" {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", none(n, "the home directory is not known")
	}
	if path := filepath.Join(home, "_netrc"); runtime.GOOS == "windows" && exists(path) {
		return path, nil
	}
	return filepath.Join(home, ".netrc"), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (n Netrc) read(ctx context.Context, path string) ([]netrc.Entry, error) {
	var forbidden fs.FileMode = 0o077
	if n.InsecurePermissions {
		forbidden = 0
	}
	f, err := readFile(ctx, path, forbidden)
	if err != nil {
		return nil, err
	}
	entries, err := netrc.Parse(f.Data)
	if e, ok := errors.AsType[*netrc.SyntaxError](err); ok {
		return nil, fmt.Errorf("proxyauth: netrc: %s:%d: %s", path, e.Line, e.Problem)
	}
	return entries, err
}

func (n Netrc) login(req *proxyauth.CredentialsRequest) string {
	if n.Login == "" && req.UserInfo != nil {
		return req.UserInfo.Username
	}
	return n.Login
}

type netrcSearch struct {
	proxy      *url.URL
	login      string
	useDefault bool
}

func (s netrcSearch) find(entries []netrc.Entry) (proxyauth.Credentials, bool) {
	i := slices.IndexFunc(entries, func(e netrc.Entry) bool {
		return !e.Default && strings.EqualFold(e.Machine, s.proxy.Hostname()) && s.fits(e)
	})
	if i < 0 && s.useDefault {
		i = slices.IndexFunc(entries, func(e netrc.Entry) bool { return e.Default && s.fits(e) })
	}
	if i < 0 {
		return proxyauth.Credentials{}, false
	}
	return s.answer(entries[i]), true
}

// fits reports whether e has credentials for the login and the port.
func (s netrcSearch) fits(e netrc.Entry) bool {
	if e.Password == nil {
		return false
	}
	if e.Login == nil && s.login == "" || e.Login != nil && s.login != "" && *e.Login != s.login {
		return false
	}
	return !slices.ContainsFunc(e.Ports, func(port string) bool {
		return port != s.proxy.Port() && !strings.EqualFold(port, s.proxy.Scheme)
	})
}

func (s netrcSearch) answer(e netrc.Entry) proxyauth.Credentials {
	c := proxyauth.Credentials{Username: s.login, Password: proxyauth.NewSecret(*e.Password)}
	if e.Login != nil {
		c.Username = *e.Login
	}
	return c
}
