package testproxy

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"
)

// digestHash returns the hash of the parts with colons between them, in hex.
func digestHash(algorithm string, parts ...string) string {
	data := []byte(strings.Join(parts, ":"))
	switch name, _ := strings.CutSuffix(strings.ToUpper(algorithm), "-SESS"); name {
	case "SHA-256":
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:])
	case "SHA-512-256":
		sum := sha512.Sum512_256(data)
		return hex.EncodeToString(sum[:])
	}
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// compute returns the response of a request with method, or that of the answer
// if it is empty (RFC 7616, Sections 3.4.1 to 3.4.3 and 3.5).
func (a *digestAttempt) compute(method string) string {
	hash := func(parts ...string) string { return digestHash(a.algorithm, parts...) }
	ha1 := hash(a.username, a.realm, a.password)
	if strings.HasSuffix(strings.ToLower(a.algorithm), "-sess") {
		ha1 = hash(ha1, a.nonce, a.cnonce)
	}
	a2 := []string{method, a.uri}
	if a.qop == "auth-int" {
		a2 = append(a2, hash(string(a.body)))
	}
	if a.qop == "" {
		return hash(ha1, a.nonce, hash(a2...))
	}
	return hash(ha1, a.nonce, a.ncText, a.cnonce, a.qop, hash(a2...))
}
