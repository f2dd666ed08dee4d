package ntlmssp

import (
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-proxyauth/proxyauth"
)

// maxName is the length in bytes of the longest name that is sent: user,
// domain, workstation, SPN. A user principal name has at most 1,024 characters.
const maxName = 4 << 10

// Errors of names and secrets that can't be sent. They don't repeat them.
var (
	errNoUser     = errors.New("proxyauth: NTLM needs a user name")
	errName       = errors.New("proxyauth: a name for NTLM is not UTF-8, has control characters, or is too long")
	errPassword   = errors.New("proxyauth: the password for NTLM is not UTF-8")
	errHashFormat = errors.New("proxyauth: the NT hash is not 32 hexadecimal digits")
)

// An identity is a user's name as NTLM sends it.
type identity struct{ user, domain string }

// parseIdentity takes `DOMAIN\user` apart. A user principal name, user@realm, is
// left whole and has no domain: only the server can tell which one it belongs
// to. Any other name belongs to defaultDomain.
func parseIdentity(username, defaultDomain string) (identity, error) {
	id := identity{user: username, domain: defaultDomain}
	if domain, user, ok := strings.Cut(username, `\`); ok {
		id = identity{user: user, domain: domain}
	} else if strings.Contains(username, "@") {
		id.domain = ""
	}
	if id.user == "" {
		return identity{}, errNoUser
	}
	return id, checkNames(id.user, id.domain)
}

func checkNames(names ...string) error {
	for _, name := range names {
		if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			return errName
		}
	}
	return nil
}

// secretHash returns the NT hash of a secret, which is the secret itself if
// isHash is set.
func secretHash(secret proxyauth.Secret, isHash bool) ([]byte, error) {
	text := secret.Reveal()
	if isHash {
		return parseHash(text)
	}
	// Replacing what is not UTF-8 would cost the account a failed attempt.
	if !utf8.ValidString(text) {
		return nil, errPassword
	}
	return ntHash(text), nil
}

func parseHash(text string) ([]byte, error) {
	hash, err := hex.DecodeString(text)
	// The error of package hex quotes the text.
	if err != nil || len(hash) != 16 {
		return nil, errHashFormat
	}
	return hash, nil
}
