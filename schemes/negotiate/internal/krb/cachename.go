package krb

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// cacheNameOf returns the name of the ticket cache to use, as MIT's library finds
// it: the one configured, KRB5CCNAME, default_ccache_name, /tmp/krb5cc_UID. On Windows
// there is no such file, and the name is empty if nothing gives it. Of the
// caches in a DIR, that looks for one of the proxy's realm, too; here it is the
// primary one.
func (c *conf) cacheNameOf(configured string) string {
	name := cmp.Or(configured, os.Getenv("KRB5CCNAME"))
	if name == "" {
		name = expand(cmp.Or(c.cacheName, defaultCache(runtime.GOOS)))
	}
	return name
}

func defaultCache(goos string) string {
	if goos == "windows" {
		return ""
	}
	return "FILE:/tmp/krb5cc_%{uid}"
}

// expand replaces the parameters of a name in krb5.conf. One that is unknown is
// left, and its file is not found.
func expand(name string) string {
	if !strings.Contains(name, "%{") {
		return name
	}
	username := ""
	if u, err := user.Current(); err == nil {
		username = u.Username
	}
	return strings.NewReplacer(
		"%{uid}", strconv.Itoa(os.Getuid()),
		"%{euid}", strconv.Itoa(os.Geteuid()),
		"%{USERID}", strconv.Itoa(os.Getuid()),
		"%{username}", username,
		"%{TEMP}", cmp.Or(os.Getenv("TMPDIR"), "/tmp"),
		"%{null}", "",
	).Replace(name)
}

// splitType splits the type off the name of a ticket cache or keytab. A drive
// letter is none.
func splitType(name string) (kind, rest string) {
	kind, rest, ok := strings.Cut(name, ":")
	if !ok || len(kind) < 2 || strings.ContainsAny(kind, `/\`) {
		return "FILE", name
	}
	return strings.ToUpper(kind), rest
}

// cachePath returns the file of the ticket cache of that name.
func cachePath(ctx context.Context, name string) (string, error) {
	kind, rest := splitType(name)
	switch kind {
	case "FILE":
		return rest, nil
	case "DIR":
		return directoryCache(ctx, rest)
	}
	return "", because(ErrCacheType, "it is %s", name)
}

// directoryCache returns the file of a DIR cache: the one named behind a further
// colon, or the primary one.
func directoryCache(ctx context.Context, dir string) (string, error) {
	if file, ok := strings.CutPrefix(dir, ":"); ok {
		return file, nil
	}
	data, _, err := readFile(ctx, filepath.Join(dir, "primary"), 4096)
	if os.IsNotExist(err) {
		return filepath.Join(dir, "tkt"), nil
	}
	if err != nil {
		return "", err
	}
	primary := strings.TrimSpace(string(data))
	if !strings.HasPrefix(primary, "tkt") || filepath.Base(primary) != primary {
		return "", malformed(filepath.Join(dir, "primary"), "no name of a ticket cache")
	}
	return filepath.Join(dir, primary), nil
}

// keytabPath returns the file of the client keytab: the one configured,
// KRB5_CLIENT_KTNAME, default_client_keytab_name, or "" if there is none.
func (c *conf) keytabPath(configured string) (string, error) {
	name := cmp.Or(configured, os.Getenv("KRB5_CLIENT_KTNAME"), expand(c.clientKeytab))
	kind, rest := splitType(name)
	if kind != "FILE" && kind != "WRFILE" {
		return "", fmt.Errorf("%w: keytab of type %s: use FILE", ErrMalformedFile, kind)
	}
	return rest, nil
}
