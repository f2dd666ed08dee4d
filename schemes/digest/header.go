package digest

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// head returns the part of the authorization that is the same for all requests
// with a nonce (RFC 7616, Section 3.4). The request's own part follows it, the
// nonce count first if there is a qop.
func (s *shared) head(n *nonce) string {
	o := &n.offer
	b := appendUsername([]byte("Digest "), s.credentials.Username, o)
	b = appendQuoted(append(b, `, realm=`...), o.realm)
	b = appendQuoted(append(b, `, nonce=`...), o.nonce)
	if o.named != "" {
		b = append(append(b, `, algorithm=`...), o.named...)
	}
	if o.hasOpaque {
		b = appendQuoted(append(b, `, opaque=`...), o.opaque)
	}
	// Without a qop no cnonce is due, but the proxy needs it for a -sess key.
	if o.qop != qopNone || o.sess {
		b = appendQuoted(append(b, `, cnonce=`...), n.cnonce)
	}
	if o.qop != qopNone {
		b = append(append(append(b, `, qop=`...), o.qop...), `, nc=`...)
	}
	return string(b)
}

// appendUsername appends the user name in the form that the challenge asks for
// (RFC 7616, Section 3.4.4). squid and Apache ask for none, and take UTF-8 in a
// quoted string.
func appendUsername(b []byte, name string, o *offer) []byte {
	switch {
	case o.userhash:
		b = append(append(b, `username="`...), o.algorithm.hash(name, o.realm)...)
		return append(b, `", userhash=true`...)
	case o.utf8 && !isASCII(name) && utf8.ValidString(name):
		return appendExtended(append(b, `username*=UTF-8''`...), name)
	default:
		return appendQuoted(append(b, `username=`...), name)
	}
}

// appendExtended appends value-chars (RFC 8187, Section 3.2.1).
func appendExtended(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if isAttrChar(c) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', digits[c>>4], digits[c&15])
	}
	return b
}

func isAttrChar(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
		strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// appendQuoted appends s as a quoted-string.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// appendCount appends a nonce count: eight hex digits.
func appendCount(b []byte, nc uint32) []byte {
	var count [4]byte
	binary.BigEndian.PutUint32(count[:], nc)
	return hex.AppendEncode(b, count[:])
}
