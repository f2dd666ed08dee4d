// Package httpfield parses the fields of HTTP authentication: lists of challenges
// and lists of auth-params (RFC 9110, Section 11).
//
// Proxies break this grammar in many ways, so a parser takes what it can use and
// reports the rest: a malformed element does not hide the elements beside it.
package httpfield

import (
	"errors"
	"fmt"
)

// Bounds on what is taken from a field. What is beyond them is reported.
const (
	// MaxChallenges is far above the handful of schemes that exist.
	MaxChallenges = 128

	// MaxParams is per challenge; Digest has the most, ten.
	MaxParams = 32

	// MaxBytes is for all lines together and leaves room for a Kerberos token of
	// 64 KiB in base64.
	MaxBytes = 128 << 10

	// MaxErrors is how many errors are reported.
	MaxErrors = 16
)

// A Challenge is an auth-scheme with what follows it (RFC 9110, Section 11.3).
type Challenge struct {
	// Scheme is the auth-scheme as it is spelled in the field.
	Scheme string

	// Token68 is empty if the challenge has none.
	Token68 string

	// Params holds the values of the auth-params, without quotes, by their names
	// in lower case. It is nil if there is none. Of a parameter that is given
	// twice, the first one counts.
	Params map[string]string
}

// An Error is one fault of a field. Its text contains nothing of the field, which
// may hold a token.
type Error struct {
	Line   int // of the field, from 1
	Byte   int // of the line, from 1
	Reason string
}

// Error returns position and reason.
func (e *Error) Error() string {
	return fmt.Sprintf("proxyauth: malformed field, line %d, byte %d: %s", e.Line, e.Byte, e.Reason)
}

// Challenges returns the challenges in the lines of a field such as
// Proxy-Authenticate, in order (RFC 9110, Section 11.7.1). Several lines are one
// list (RFC 9110, Section 5.3): a parameter belongs to the challenge before it even
// if a line ends between them.
//
// A challenge with a malformed parameter is returned without this parameter. A
// value without the quotes that it should have is taken, and reported. Bytes outside
// ASCII are kept as they are; no value contains a control character other than the
// tab. There may be challenges as well as an error, which joins at most MaxErrors
// of type *Error.
func Challenges(lines []string) ([]Challenge, error) {
	var p parser
	p.parse(lines, p.element)
	return p.challenges, errors.Join(p.errs...)
}

// Params returns the auth-params in the lines of a field without challenges, such
// as Proxy-Authentication-Info (RFC 9110, Section 11.7.3), by their names in lower
// case. It is as lenient as [Challenges]. The map is nil if there is none.
func Params(lines []string) (map[string]string, error) {
	p := parser{challenges: make([]Challenge, 1)} // without a name, for the parameters
	p.parse(lines, p.paramElement)
	return p.challenges[0].Params, errors.Join(p.errs...)
}
