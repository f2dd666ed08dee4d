package proxyauth

import (
	"errors"
	"fmt"
	"net/http"
)

// A Challenge is one challenge of a Proxy-Authenticate field (RFC 9110, Section
// 11.3).
type Challenge struct {
	// Scheme is the auth-scheme as the proxy spelled it. Compare it without
	// regard to case.
	Scheme string

	// Token68 is the challenge's token68, such as the base64 text that NTLM
	// and Negotiate send. It is empty if the challenge has none.
	Token68 string

	// Params holds the auth-params by their names in lower case, with quoted
	// strings unquoted. It is nil if the challenge has none. Of a parameter
	// that is given twice, the first one counts.
	Params map[string]string
}

// Bounds on what is taken from a field of a peer.
const (
	// maxChallenges is far above the handful of schemes that exist.
	maxChallenges = 32

	// maxParams is per challenge; the richest scheme, Digest, has ten.
	maxParams = 32

	// maxFieldBytes leaves room for a Kerberos token of 64 KiB in base64.
	maxFieldBytes = 128 << 10

	// maxFaults bounds how many errors are reported.
	maxFaults = 16
)

// ParseChallenges returns the challenges in the Proxy-Authenticate lines of h, in
// the order in which they stand there (RFC 9110, Section 11.7.1).
//
// It takes what it can use and reports the rest: what is malformed does not hide
// the challenges beside it, and a challenge with a malformed parameter is
// returned without this parameter. So there may be challenges as well as an
// error, and neither if h has no such field. Values that are not quoted
// although they should be are taken as they are, and reported. The error says
// where each fault is, and quotes nothing of the field. Bytes outside ASCII are
// kept as they came; no value contains a control character other than the tab.
//
// At most 32 challenges of at most 32 parameters in 128 KiB are looked at; what
// is beyond these limits is reported as malformed.
func ParseChallenges(h http.Header) ([]Challenge, error) {
	var p fieldParser
	p.parse(h.Values("Proxy-Authenticate"), p.element)
	return p.challenges, errors.Join(p.faults...)
}

// ParseParams returns the auth-params in the lines of a field that holds nothing
// else, such as Proxy-Authentication-Info (RFC 9110, Section 11.7.3), by their
// names in lower case. It is as lenient as [ParseChallenges], and reports what
// it finds in the same way. Without any parameter the map is nil.
func ParseParams(lines []string) (map[string]string, error) {
	// The parameters join a challenge with no name.
	p := fieldParser{challenges: make([]Challenge, 1)}
	p.parse(lines, p.paramElement)
	return p.challenges[0].Params, errors.Join(p.faults...)
}

// A fault is something malformed in a field. It says where, and never what stood
// there, since a field may hold a token.
type fault struct {
	line, offset int // both from 1
	kind         string
}

// Error implements error.
func (f *fault) Error() string {
	return fmt.Sprintf("proxyauth: malformed field, line %d, byte %d: %s", f.line, f.offset, f.kind)
}
