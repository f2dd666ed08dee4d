package doctor

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A flaw is why the URL of a proxy can't be used, and what to do. It has nothing of the URL,
// which may have a password in it, but for the names of known schemes.
type flaw struct{ text, fix string }

// form is that of a proxy's URL.
const form = "Its form is http://user:password@host:port."

const percentEncode = `Percent-encode the user name and password in the proxy's URL: \ is %5C, @ is %40, : is %3A, / is %2F, # is %23, % is %25 and a blank is %20. ` + form

var (
	flawQuotes = &flaw{"there are quotation marks around it", "Take the quotation marks out of the value: a shell removes its own, but in cmd.exe, in an env file or in a container's settings they become part of it."}
	flawBlanks = &flaw{"there are blanks or line breaks in it", "Take the blanks out of the URL; in a user name or password, a blank is %20. " + form}
	flawTwice  = &flaw{"it has http:// twice", "Write http:// once. " + form}
	flawSlash  = &flaw{"there are no two slashes behind its scheme", "Write http://, with two slashes, before what follows. " + form}
	flawScheme = &flaw{"its scheme is not one of a proxy", "Write http:// or https:// in front of the proxy's host, or socks5:// for a SOCKS proxy: the scheme says how to talk to the proxy, and not what is fetched through it."}
	flawHost   = &flaw{"it names no host", "Put the host of the proxy into the URL. " + form}
	flawPort   = &flaw{"its port is not a number from 1 to 65535", "Correct the port behind the last colon; the colons in an IPv6 address need brackets, as in http://[2001:db8::1]:3128. If what stands there is part of a password, percent-encode it. " + form}
	flawIPv6   = &flaw{"it has more than one colon in its host and port", "Put brackets around an IPv6 address, as in http://[2001:db8::1]:3128. If there is a user name or password before the host, an @ belongs between them. " + form}
	flawEncode = &flaw{"net/http does not take the characters in its user name or password", percentEncode}
	flawName   = &flaw{"it has characters that are not allowed in a host name", "Correct the host of the proxy. If what stands there is a user name or password, percent-encode it, and put an @ behind it. " + form}
)

// proxySchemes are those that net/http knows, and foreignSchemes others that may be named: any
// other text before a colon may be a user name.
var (
	proxySchemes   = []string{"http", "https", "socks5", "socks5h"}
	foreignSchemes = []string{"ftp", "socks", "socks4", "socks4a", "ssh", "tcp", "ws", "wss"}
)

// parseProxy parses the URL of a proxy as net/http does: http:// may be missing.
func parseProxy(text string) (*url.URL, *flaw) {
	if len(text) > 1 && strings.ContainsRune(`"'`, rune(text[0])) || strings.HasSuffix(text, `"`) {
		return nil, flawQuotes
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, flawBlanks
	}
	scheme, rest, found := strings.Cut(text, "://")
	if head, _, colon := strings.Cut(text, ":"); colon && isScheme(head) && !strings.HasPrefix(text[len(head):], "://") {
		return nil, flawSlash
	}
	if !found {
		scheme, rest = "http", text
	}
	switch scheme = strings.ToLower(scheme); {
	case found && slices.Contains(foreignSchemes, scheme):
		return nil, &flaw{"its scheme is " + scheme + "://", flawScheme.fix}
	case !isScheme(scheme):
		if strings.ContainsAny(scheme, "@:/") { // the :// is in a password
			return nil, flawEncode
		}
		return nil, flawScheme
	case isScheme(strings.ToLower(before(rest, ":"))) && strings.Contains(rest, "://"):
		return nil, flawTwice
	}
	u, err := url.Parse(scheme + "://" + rest)
	if f := flawOf(rest, err != nil); f != nil {
		return nil, f
	}
	return u, nil
}

// flawOf returns what is wrong with what follows the scheme, nil if nothing is. failed says that
// package url does not parse it.
func flawOf(rest string, failed bool) *flaw {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	if strings.Contains(rest[end:], "@") {
		return flawEncode // the password ends at a / or #
	}
	at := strings.LastIndex(authority, "@")
	user, host := authority[:max(at, 0)], authority[at+1:]
	if at >= 0 {
		if _, err := url.Parse("http://" + user + "@host"); err != nil || strings.Contains(user, "@") {
			return flawEncode
		}
	}
	port, hasPort := "", false
	if !strings.HasPrefix(host, "[") {
		if strings.Count(host, ":") > 1 {
			return flawIPv6
		}
		host, port, hasPort = strings.Cut(host, ":")
	} else if i := strings.Index(host, "]"); i > 0 {
		port, hasPort = strings.CutPrefix(host[i+1:], ":")
		host = host[:i+1]
	}
	number, err := strconv.Atoi(port)
	switch {
	case host == "" || host == "[]":
		return flawHost
	case hasPort && port != "" && (err != nil || number < 1 || number > 65535):
		return flawPort
	case failed || strings.ContainsAny(host, `\^|<>{}"'%,;`) && !hasZone(host):
		return flawName
	}
	return nil
}

// hasZone reports whether a host is an IPv6 address with a zone, as in [fe80::1%25eth0].
func hasZone(host string) bool {
	_, err := netip.ParseAddr(strings.Replace(strings.Trim(host, "[]"), "%25", "%", 1))
	return err == nil
}

func isScheme(s string) bool { return slices.Contains(proxySchemes, strings.ToLower(s)) }

// before returns what stands before sep, or all of text.
func before(text, sep string) string {
	head, _, _ := strings.Cut(text, sep)
	return head
}
