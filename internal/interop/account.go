package interop

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Realm is the realm of every proxy here.
const Realm = "Example proxy"

// An Account is a user of a proxy.
type Account struct {
	Username, Password string
}

// squidPasswords returns accounts in a form that squid's basic_ncsa_auth reads:
// of its many this is the one that needs no program to make.
func squidPasswords(accounts []Account) string {
	return lines(accounts, func(a Account) string {
		return a.Username + ":" + md5Hex(a.Password)
	})
}

// apachePasswords returns accounts as an AuthUserFile for Basic.
func apachePasswords(accounts []Account) string {
	return lines(accounts, func(a Account) string {
		sum := sha1.Sum([]byte(a.Password))
		return a.Username + ":{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
	})
}

// digestPasswords returns accounts as htdigest does, for Apache and for squid's
// digest_file_auth -c.
func digestPasswords(accounts []Account) string {
	return lines(accounts, func(a Account) string {
		return a.Username + ":" + Realm + ":" + md5Hex(a.Username+":"+Realm+":"+a.Password)
	})
}

func lines(accounts []Account, line func(Account) string) string {
	var b strings.Builder
	for _, a := range accounts {
		b.WriteString(line(a) + "\n")
	}
	return b.String()
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
