package proxyauth

import (
	"net/http"

	"github.com/go-proxyauth/proxyauth/internal/httpfield"
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

// ParseChallenges returns the challenges in the Proxy-Authenticate lines of h, in
// the order in which they stand there (RFC 9110, Section 11.7.1).
//
// It takes what it can use and reports the rest: a malformed challenge does not hide
// the challenges beside it, and a challenge with a malformed parameter is returned
// without this parameter. So there may be challenges as well as an error, and
// neither if h has no such field. Values that are not quoted although they should be
// are taken as they are, and reported. The error tells the position of each fault,
// and quotes nothing of the field. Bytes outside ASCII are kept as they came; no
// value contains a control character other than the tab.
//
// At most 128 challenges of at most 32 parameters in 128 KiB are parsed. What is
// beyond these limits is reported as malformed.
func ParseChallenges(h http.Header) ([]Challenge, error) {
	parsed, err := httpfield.Challenges(h.Values("Proxy-Authenticate"))
	if parsed == nil {
		return nil, err
	}
	challenges := make([]Challenge, len(parsed))
	for i, c := range parsed {
		challenges[i] = Challenge(c)
	}
	return challenges, err
}

// ParseAuthInfo returns the auth-params in the Proxy-Authentication-Info lines of h,
// header or trailer (RFC 9110, Section 11.7.3), by their names in lower case. It is
// as lenient as [ParseChallenges], with the same limits, and reports faults in the
// same way. The map is nil if there are no parameters.
func ParseAuthInfo(h http.Header) (map[string]string, error) {
	lines := h["Proxy-Authentication-Info"]
	if len(lines) == 0 {
		return nil, nil
	}
	return httpfield.Params(lines)
}
