package digest

import (
	"crypto/fips140"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"
)

// An Algorithm is a hash function of the Digest scheme (RFC 7616, Section 6.1). A
// greater one is stronger. Its -sess variant counts as the same.
type Algorithm uint8

// The algorithms that are known, the weakest first.
const (
	MD5 Algorithm = iota
	SHA256
	SHA512_256
)

// String returns the name as registered, such as "SHA-512-256".
func (a Algorithm) String() string {
	switch a {
	case MD5:
		return "MD5"
	case SHA256:
		return "SHA-256"
	case SHA512_256:
		return "SHA-512-256"
	default:
		return "unknown"
	}
}

// parseAlgorithm reads the value of the algorithm parameter.
func parseAlgorithm(name string) (a Algorithm, sess, ok bool) {
	base, sess := strings.CutSuffix(strings.ToLower(name), "-sess")
	switch {
	case name == "" || base == "md5":
		return MD5, sess, true
	case base == "sha-256":
		return SHA256, sess, true
	case base == "sha-512-256":
		return SHA512_256, sess, true
	default:
		return 0, false, false
	}
}

// panics reports whether the hash function panics, as MD5 does where FIPS 140 is enforced.
func (a Algorithm) panics() bool { return a == MD5 && fips140.Enforced() }

func (a Algorithm) new() hash.Hash {
	switch a {
	case SHA512_256:
		return sha512.New512_256()
	case SHA256:
		return sha256.New()
	default:
		return md5.New()
	}
}

// appendHash appends the hash of data in hex. It does not allocate.
func (a Algorithm) appendHash(dst, data []byte) []byte {
	switch a {
	case SHA512_256:
		sum := sha512.Sum512_256(data)
		return hex.AppendEncode(dst, sum[:])
	case SHA256:
		sum := sha256.Sum256(data)
		return hex.AppendEncode(dst, sum[:])
	default:
		sum := md5.Sum(data)
		return hex.AppendEncode(dst, sum[:])
	}
}

// hash returns the hash, in hex, of parts with colons between them.
func (a Algorithm) hash(parts ...string) string {
	return string(a.appendHash(nil, []byte(strings.Join(parts, ":"))))
}
