package krb

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
)

// cacheNameOf returns the name of the ticket cache to use, as MIT's library finds
// it: the one configured, KRB5CCNAME, default_ccache_name, /tmp/krb5cc_UID. On Windows
// there is no such file, and none is used if nothing names it.
func (c *conf) cacheNameOf(configured string) (string, error) {
	name := cmp.Or(configured, os.Getenv("KRB5CCNAME"))
	if name != "" {
		return name, nil
	}
	if name = cmp.Or(c.cacheName, defaultCache(runtime.GOOS)); name == "" {
		return "", because(ErrNoTicket, "KRB5CCNAME names no ticket cache")
	}
	return expand("default_ccache_name", name)
}

func defaultCache(goos string) string {
	if goos == "windows" {
		return ""
	}
	return "FILE:/tmp/krb5cc_%{uid}"
}

// expand replaces the parameters in a value of krb5.conf.
func expand(tag, value string) (string, error) {
	var text strings.Builder
	for {
		before, rest, more := strings.Cut(value, "%{")
		text.WriteString(before)
		if !more {
			return text.String(), nil
		}
		parameter, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", malformed("krb5.conf", tag+": unclosed %{")
		}
		known, err := expansion(runtime.GOOS, parameter)
		if err != nil {
			return "", malformed("krb5.conf", fmt.Sprintf("%s: %%{%s}: %v", tag, parameter, err))
		}
		text.WriteString(known)
		value = after
	}
}

// expansion returns what stands for a parameter: those of MIT's library but for the
// directories in which it is installed.
func expansion(goos, parameter string) (string, error) {
	switch parameter {
	case "null":
		return "", nil
	case "TEMP":
		return os.TempDir(), nil
	case "uid", "USERID":
		if goos != "windows" {
			return strconv.Itoa(os.Getuid()), nil
		}
		u, err := user.Current() // whose Uid is a SID
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	}
	if goos == "windows" {
		return windowsFolder(parameter)
	}
	switch parameter {
	case "euid":
		return strconv.Itoa(os.Geteuid()), nil
	case "username":
		u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
		if err != nil {
			return "", err
		}
		return u.Username, nil
	}
	return "", errUnknownParameter
}

var errUnknownParameter = errors.New("unknown parameter")

// windowsFolder returns the path of a folder of Windows.
func windowsFolder(parameter string) (string, error) {
	variable := map[string]string{
		"APPDATA": "APPDATA", "LOCAL_APPDATA": "LOCALAPPDATA", "COMMON_APPDATA": "ProgramData", "WINDOWS": "SystemRoot",
	}[parameter]
	if path := os.Getenv(variable); path != "" {
		return path, nil
	}
	return "", errUnknownParameter
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

// keytabPath returns the file of the client keytab: the one configured,
// KRB5_CLIENT_KTNAME, default_client_keytab_name, or "" if there is none.
func (c *conf) keytabPath(configured string) (string, error) {
	name := cmp.Or(configured, os.Getenv("KRB5_CLIENT_KTNAME"))
	if name == "" {
		var err error
		if name, err = expand("default_client_keytab_name", c.clientKeytab); err != nil {
			return "", err
		}
	}
	kind, rest := splitType(name)
	if kind != "FILE" && kind != "WRFILE" {
		return "", fmt.Errorf("%w: keytab of type %s: use FILE", ErrMalformedFile, kind)
	}
	return rest, nil
}
