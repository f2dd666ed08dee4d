package testproxy

import (
	"errors"
	"strings"
)

// maxParams bounds the auth-params of one Proxy-Authorization.
const maxParams = 64

var (
	errParams    = errors.New("malformed parameters")
	errDuplicate = errors.New("a parameter is given twice")
	errTooMany   = errors.New("too many parameters")
)

// A param is the value of an auth-param (RFC 9110, Section 11.2).
type param struct {
	value  string
	quoted bool
}

// parseParams parses the auth-params of credentials, with their names in lower
// case.
func parseParams(s string) (map[string]param, error) {
	params := make(map[string]param)
	for s = skipEmpty(s); s != ""; s = skipEmpty(s) {
		name, rest, ok := strings.Cut(s, "=")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		if !ok || !isToken(name) {
			return nil, errParams
		}
		if _, twice := params[name]; twice {
			return nil, errDuplicate
		}
		if len(params) == maxParams {
			return nil, errTooMany
		}
		if params[name], s, ok = parseValue(strings.TrimLeft(rest, " \t")); !ok {
			return nil, errParams
		}
	}
	return params, nil
}

// skipEmpty skips the empty elements of a list.
func skipEmpty(s string) string { return strings.TrimLeft(s, " \t,") }

// parseValue parses a token or quoted-string and what must follow it: the end
// or a comma.
func parseValue(s string) (p param, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		p.quoted = true
		p.value, rest, ok = unquote(s[1:])
	} else {
		end := strings.IndexAny(s+",", ", \t")
		p.value, rest, ok = s[:end], s[end:], isToken(s[:end])
	}
	rest = strings.TrimLeft(rest, " \t")
	return p, rest, ok && (rest == "" || rest[0] == ',')
}

// unquote returns the text up to the closing quotation mark, and what is behind
// it.
func unquote(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
