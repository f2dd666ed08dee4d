package interop

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Apache configures an Apache httpd as a forward proxy that lets every
// authenticated user go everywhere, and no one else anywhere.
type Apache struct {
	// Auth is the scheme it asks for.
	Auth ApacheAuth

	// TLS makes it listen with TLS as well, and choose HTTP/2 there where a
	// client offers it, although it is of no use to a proxy's client.
	TLS bool

	// Env is added to the environment.
	Env []string
}

// An ApacheAuth prepares what a scheme needs in the directory of an Apache.
type ApacheAuth func(t testing.TB, dir *Dir) ApacheConfig

// An ApacheConfig holds the names of modules without "mod_", and directives for
// what the proxy serves.
type ApacheConfig struct {
	Modules    []string
	Directives []string
}

var apacheModuleDirs = []string{
	"/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules", "/usr/libexec/apache2",
}

// Which modules are built in differs. Debian has no file for these two, and others
// need not have one for them either.
var apacheMaybeBuiltIn = []string{"unixd", "log_config"}

var (
	apacheModules = []string{
		"mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "proxy_connect",
	}
	apacheTLSModules = []string{"ssl", "http2"}
)

// ApacheBasic asks for Basic.
func ApacheBasic(accounts ...Account) ApacheAuth {
	return func(t testing.TB, dir *Dir) ApacheConfig {
		return ApacheConfig{
			Modules: []string{"auth_basic", "authn_file"},
			Directives: []string{
				"AuthType Basic",
				"AuthBasicProvider file",
				`AuthName "` + Realm + `"`,
				"AuthUserFile " + dir.Write("basic.passwd", apachePasswords(accounts)),
			},
		}
	}
}

// ApacheDigest asks for Digest with nonces that live for some seconds.
func ApacheDigest(nonceSeconds int, accounts ...Account) ApacheAuth {
	return func(t testing.TB, dir *Dir) ApacheConfig {
		return ApacheConfig{
			Modules: []string{"auth_digest", "authn_file"},
			Directives: []string{
				"AuthType Digest",
				"AuthDigestProvider file",
				"AuthDigestNonceLifetime " + strconv.Itoa(nonceSeconds),
				`AuthName "` + Realm + `"`,
				"AuthUserFile " + dir.Write("digest.passwd", digestPasswords(accounts)),
			},
		}
	}
}

// Start starts Apache.
func (a Apache) Start(t testing.TB) *Proxy {
	t.Helper()
	program := Program(t, "apache2", "httpd")
	dir := NewDir(t)
	proxy, cert := newProxy(t, dir, a.TLS)
	config := append(a.config(t, dir), "Listen "+proxy.URL.Host)
	if cert != nil {
		config = append(config, apacheTLS(proxy.TLSURL.Host, cert)...)
	}
	proxy.process = Start(t, Command{
		Path:  program,
		Args:  []string{"-DFOREGROUND", "-d", dir.path, "-f", dir.Write("httpd.conf", strings.Join(config, "\n")+"\n")},
		Env:   a.Env,
		Dir:   dir,
		Addrs: proxy.addrs(),
		Logs:  []string{"error.log", accessLogName},

		// On SIGTERM it closes the clients' connections under the threads that
		// serve them, and one whose tunnel is about to end waits for ever.
		Gracefully: true,
		Ready:      "resuming normal operations", // not before it heeds signals
	})
	return proxy
}

func apacheTLS(addr string, cert *Certificate) []string {
	return []string{
		"Listen " + addr,
		"SSLSessionCache none",
		"<VirtualHost " + addr + ">",
		"ServerName " + serverName,
		"Protocols h2 http/1.1",
		"ProxyRequests On",
		"SSLEngine on",
		"SSLCertificateFile " + cert.CertFile,
		"SSLCertificateKeyFile " + cert.KeyFile,
		"</VirtualHost>",
	}
}

func (a Apache) config(t testing.TB, dir *Dir) []string {
	t.Helper()
	auth := a.Auth(t, dir)
	modules := slices.Concat(apacheModules, auth.Modules)
	if a.TLS {
		modules = append(modules, apacheTLSModules...)
	}
	return slices.Concat(
		loadModules(t, modules),
		[]string{
			"ServerName " + serverName,
			"DefaultRuntimeDir " + dir.path,
			"PidFile " + dir.Path("httpd.pid"),
			"ErrorLog " + dir.Path("error.log"),
			`LogFormat "%>s\t%m\t%U\t%{remote}p\t%{Proxy-Authorization}i" legs`,
			"CustomLog " + dir.Path(accessLogName) + " legs",
			"StartServers 1",
			"GracefulShutdownTimeout 8",
			"ThreadLimit 128",
			"ThreadsPerChild 128",
			"MaxRequestWorkers 256",
			"ProxyRequests On",
			"ProxyVia Off",
			"AllowCONNECT 1-65535",
			`<Proxy "*">`,
		},
		auth.Directives,
		[]string{
			"Require valid-user",
			"</Proxy>",
			`<ProxyMatch "` + regexp.QuoteMeta(DeniedHost) + `">`,
			// Without it Apache asks again, as for a wrong password.
			"AuthzSendForbiddenOnFailure On",
			"<RequireAll>",
			"Require valid-user",
			"Require all denied",
			"</RequireAll>",
			"</ProxyMatch>",
		},
	)
}

// ApacheModule returns the path of a module, of which name is without "mod_", and
// skips the test if there is none of this name.
func ApacheModule(t testing.TB, name string) string {
	t.Helper()
	return File(t, "mod_"+name+".so", apacheModuleDirs...)
}

func loadModules(t testing.TB, modules []string) []string {
	t.Helper()
	var config []string
	for _, name := range apacheMaybeBuiltIn {
		if path, ok := find("mod_"+name+".so", apacheModuleDirs); ok {
			config = append(config, loadModule(name, path))
		}
	}
	for _, name := range modules {
		config = append(config, loadModule(name, ApacheModule(t, name)))
	}
	return config
}

func loadModule(name, path string) string {
	return "LoadModule " + name + "_module " + path
}
