package interop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Squid configures a squid that lets every authenticated user go everywhere,
// and no one else anywhere.
type Squid struct {
	// Auth holds the schemes, in the order in which squid offers them.
	Auth []SquidAuth

	// TLS makes it listen with TLS as well.
	TLS bool

	// Rules are lines of configuration that come before those on users.
	Rules []string

	// Env is added to the environment, which its helpers inherit.
	Env []string
}

// A SquidAuth prepares what a scheme needs in the directory of a squid, and
// returns the lines of configuration for it.
type SquidAuth func(t testing.TB, dir *Dir) []string

var squidHelperDirs = []string{"/usr/lib/squid", "/usr/lib64/squid", "/usr/libexec/squid", "/usr/local/libexec/squid"}

// SquidHelper returns the path of a helper program that comes with squid, and
// skips the test if there is none of this name.
func SquidHelper(t testing.TB, name string) string {
	t.Helper()
	return File(t, name, squidHelperDirs...)
}

// SquidBasic offers Basic.
func SquidBasic(accounts ...Account) SquidAuth {
	return func(t testing.TB, dir *Dir) []string {
		helper := SquidHelper(t, "basic_ncsa_auth")
		passwords := dir.Write("basic.passwd", squidPasswords(accounts))
		return []string{
			"auth_param basic program " + helper + " " + passwords,
			"auth_param basic children 4 startup=1",
			"auth_param basic realm " + Realm,
		}
	}
}

// SquidStrictDigest offers Digest, and takes the counts of a nonce in order alone.
func SquidStrictDigest(accounts ...Account) SquidAuth {
	return func(t testing.TB, dir *Dir) []string {
		return append(SquidDigest(0, accounts...)(t, dir), "auth_param digest nonce_strictness on")
	}
}

// SquidDigest offers Digest. squid accepts nonceMaxCount requests with a nonce; 0
// means squid's default, which is 50.
func SquidDigest(nonceMaxCount int, accounts ...Account) SquidAuth {
	return func(t testing.TB, dir *Dir) []string {
		helper := SquidHelper(t, "digest_file_auth")
		passwords := dir.Write("digest.passwd", digestPasswords(accounts))
		lines := []string{
			"auth_param digest program " + helper + " -c " + passwords,
			"auth_param digest children 4 startup=1",
			"auth_param digest realm " + Realm,
		}
		if nonceMaxCount > 0 {
			lines = append(lines, "auth_param digest nonce_max_count "+strconv.Itoa(nonceMaxCount))
		}
		return lines
	}
}

// Start starts squid.
func (s Squid) Start(t testing.TB) *Proxy {
	t.Helper()
	program := Program(t, "squid")
	dir := NewDir(t)
	proxy, cert := newProxy(t, dir, s.TLS)
	config := append(s.config(t, dir), "http_port "+proxy.URL.Host)
	if cert != nil {
		config = append(config, fmt.Sprintf("https_port %s tls-cert=%s tls-key=%s",
			proxy.TLSURL.Host, cert.CertFile, cert.KeyFile))
	}
	// squid names shared memory after its service.
	service := "proxyauth" + proxy.URL.Port()
	proxy.process = Start(t, Command{
		Path:  program,
		Args:  []string{"-N", "-n", service, "-f", dir.Write("squid.conf", strings.Join(config, "\n")+"\n")},
		Env:   s.Env,
		Dir:   dir,
		Addrs: proxy.addrs(),
		Logs:  []string{"cache.log", accessLogName},
	})
	return proxy
}

func (s Squid) config(t testing.TB, dir *Dir) []string {
	t.Helper()
	var config []string
	for _, auth := range s.Auth {
		config = append(config, auth(t, dir)...)
	}
	config = append(config, s.Rules...)
	return append(config,
		"acl authenticated proxy_auth REQUIRED",
		"acl denied dstdomain -n "+DeniedHost,
		"http_access deny !authenticated",
		"http_access deny denied",
		"http_access allow all",
		"logformat legs "+strings.Join([]string{"%>Hs", "%rm", "%ru", "%>p", "%{Proxy-Authorization}>h"}, "\t"),
		"access_log stdio:"+dir.Path(accessLogName)+" legs",
		"cache_log "+dir.Path("cache.log"),
		"cache deny all",
		"cache_mem 8 MB",
		"coredump_dir "+dir.path,
		"netdb_filename none",
		"pid_filename none",
		"pinger_enable off",
		"shutdown_lifetime 0 seconds",
		// Without it squid wants a host name that resolves.
		"visible_hostname "+serverName,
	)
}
