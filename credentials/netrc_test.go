package credentials_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/credentials"
)

func TestNetrc(t *testing.T) {
	const two = "machine proxy.example.com login ann password first\n" +
		"machine proxy.example.com login bob password second\n"
	tests := []struct {
		desc, content  string
		proxy          string
		netrc          credentials.Netrc
		user, password string
		none           bool
	}{
		{desc: "one line", content: "machine proxy.example.com login ann password s3cret", user: "ann", password: "s3cret"},
		{desc: "other case", content: "MACHINE Proxy.Example.COM Login ann Password s3cret", user: "ann", password: "s3cret"},
		{desc: "first of two", content: two, user: "ann", password: "first"},
		{desc: "login of the URL", content: two, proxy: "http://bob@proxy.example.com:3128", user: "bob", password: "second"},
		{desc: "login of the field", content: two, netrc: credentials.Netrc{Login: "bob"}, proxy: "http://ann@proxy.example.com:3128", user: "bob", password: "second"},
		{desc: "login without entry", content: two, netrc: credentials.Netrc{Login: "eve"}, none: true},
		{desc: "login in other case", content: two, netrc: credentials.Netrc{Login: "Bob"}, none: true},
		{desc: "entry without login", content: "machine proxy.example.com password s3cret", netrc: credentials.Netrc{Login: "ann"}, user: "ann", password: "s3cret"},
		{desc: "no login anywhere", content: "machine proxy.example.com password s3cret", none: true},
		{desc: "entry without password", content: "machine proxy.example.com login ann\n" + two, user: "ann", password: "first"},
		{desc: "only an entry without password", content: "machine proxy.example.com login ann", none: true},
		{desc: "only an entry without password, and the default", content: "machine proxy.example.com login ann default login bob password x", netrc: credentials.Netrc{Login: "ann", Default: true}, none: true},
		{desc: "unknown keyword", content: "machine other.example.com foo bar machine proxy.example.com login ann password s3cret force yes", user: "ann", password: "s3cret"},
		{desc: "empty password", content: `machine proxy.example.com login ann password ""`, user: "ann"},
		{desc: "longer host", content: "machine xproxy.example.com login ann password s3cret", none: true},
		{desc: "parent domain", content: "machine example.com login ann password s3cret", none: true},
		{desc: "wildcard", content: "machine *.example.com login ann password s3cret", none: true},
		{desc: "host with port is another name", content: "machine proxy.example.com:3128 login ann password s3cret", none: true},
		{desc: "IPv6", content: "machine ::1 login ann password s3cret", proxy: "http://[::1]:3128", user: "ann", password: "s3cret"},
		{desc: "port fits", content: "machine proxy.example.com port 3128 login ann password s3cret", user: "ann", password: "s3cret"},
		{desc: "other port", content: "machine proxy.example.com port 21 login bob password x\n" + two, user: "ann", password: "first"},
		{desc: "protocol fits", content: "machine proxy.example.com protocol http login ann password s3cret", user: "ann", password: "s3cret"},
		{desc: "other protocol", content: "machine proxy.example.com protocol imaps login ann password s3cret", none: true},
		{desc: "default not asked for", content: "default login ann password s3cret", none: true},
		{desc: "default", content: "default login ann password s3cret", netrc: credentials.Netrc{Default: true}, user: "ann", password: "s3cret"},
		{desc: "default before the machine", content: "default login bob password x\n" + two, netrc: credentials.Netrc{Default: true}, user: "ann", password: "first"},
		{desc: "default of another login", content: "default login bob password x", netrc: credentials.Netrc{Default: true, Login: "ann"}, none: true},
		{desc: "empty file", none: true},
	}
	for _, test := range tests {
		t.Run(test.desc, func(t *testing.T) {
			proxy := test.proxy
			if proxy == "" {
				proxy = proxyText
			}
			test.netrc.Path = writeFile(t, "netrc", test.content)
			c, err := test.netrc.Credentials(t.Context(), request(t, proxy))
			if test.none {
				requireNone(t, err, "netrc: no entry for ")
				require.ErrorContains(t, err, test.netrc.Path)
				return
			}
			requireCredentials(t, test.user, test.password, c, err)
		})
	}
}

func TestNetrcErrorNamesFileAndLine(t *testing.T) {
	path := writeFile(t, "netrc", "machine proxy.example.com login ann password s3cret\n\nlogin hunter2\n")
	_, err := credentials.Netrc{Path: path}.Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, path+":3: ")
	for _, content := range []string{"hunter2", "s3cret", "ann"} {
		require.NotContains(t, err.Error()[len(path):], content)
	}
}

func TestNetrcPath(t *testing.T) {
	const entry = "machine proxy.example.com login ann password "
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("NETRC", "")
	rewriteFile(t, filepath.Join(home, ".netrc"), entry+"home")
	c, err := credentials.Netrc{}.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "home", c, err)

	t.Setenv("NETRC", writeFile(t, "other", entry+"variable"))
	c, err = credentials.Netrc{}.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "variable", c, err)

	c, err = credentials.Netrc{Path: writeFile(t, "third", entry+"field")}.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "field", c, err)

	t.Setenv("NETRC", filepath.Join(home, "missing"))
	_, err = credentials.Netrc{}.Credentials(t.Context(), request(t, proxyText))
	requireNone(t, err, "missing does not exist")
}

func TestNetrcPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	path := writeFile(t, "netrc", "machine proxy.example.com login ann password s3cret")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644, 0o620, 0o602} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := credentials.Netrc{Path: path}.Credentials(t.Context(), request(t, proxyText))
		requireFailure(t, err, "too open (chmod 0600)")
		c, err := credentials.Netrc{Path: path, InsecurePermissions: true}.Credentials(t.Context(), request(t, proxyText))
		requireCredentials(t, "ann", "s3cret", c, err)
	}
	require.NoError(t, os.Chmod(path, 0o400))
	c, err := credentials.Netrc{Path: path}.Credentials(t.Context(), request(t, proxyText))
	requireCredentials(t, "ann", "s3cret", c, err)
}

func TestNetrcRefusesWhatIsNoFile(t *testing.T) {
	_, err := credentials.Netrc{Path: t.TempDir()}.Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "is not a regular file")
	path := writeFile(t, "netrc", "")
	require.NoError(t, os.Truncate(path, 1<<20+1))
	_, err = credentials.Netrc{Path: path}.Credentials(t.Context(), request(t, proxyText))
	requireFailure(t, err, "is too large: more than 1048576 bytes")
}
