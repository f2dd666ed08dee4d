package testproxy

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Basic is the Basic scheme (RFC 7617), with user names and passwords in UTF-8.
type Basic struct {
	// Accounts holds the users.
	Accounts *Accounts

	// Realm is the realm.
	Realm string

	// Charset adds charset="UTF-8" to the challenge.
	Charset bool

	// Refuse401 answers wrong credentials with 401 and WWW-Authenticate, as
	// tinyproxy does.
	Refuse401 bool
}

// Scheme returns "Basic".
func (*Basic) Scheme() string { return "Basic" }

// Challenge returns the one challenge.
func (b *Basic) Challenge(*Conn) []string { return []string{b.challenge()} }

func (b *Basic) challenge() string {
	challenge := "Basic realm=" + quote(b.Realm)
	if b.Charset {
		challenge += `, charset="UTF-8"`
	}
	return challenge
}

// Verify looks the user up.
func (b *Basic) Verify(r *Request) Verdict {
	user, password, problem := parseBasic(r.Credentials)
	if problem != "" {
		return b.refuse("Basic: " + problem)
	}
	if !b.Accounts.Authenticate(user, func(want string) bool { return equal(password, want) }) {
		return b.refuse("")
	}
	return Accept(user)
}

func parseBasic(text string) (user, password, problem string) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", "", "malformed base64"
	}
	user, password, ok := strings.Cut(string(data), ":")
	switch {
	case !ok:
		return "", "", "no colon"
	case !utf8.Valid(data):
		return "", "", "not UTF-8"
	case strings.ContainsFunc(string(data), isControl):
		return "", "", "control characters"
	}
	return user, password, ""
}

func (b *Basic) refuse(violation string) Verdict {
	v := Verdict{Violation: violation}
	if b.Refuse401 {
		v.Status = http.StatusUnauthorized
		v.Header = http.Header{"Www-Authenticate": {b.challenge()}}
		v.Close = true
	}
	return v
}

// quote returns s as a quoted-string.
func quote(s string) string { return `"` + quoting.Replace(s) + `"` }

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
