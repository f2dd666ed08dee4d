package digest

import (
	"net/http"

	"github.com/go-proxyauth/proxyauth"
)

// verify is [proxyauth.Verifier.Verify]: it checks that the proxy knows the
// password too, if it says so, and takes over the next nonce. With qop auth-int
// the check is completed by whoever reads the body to its end.
func (s *session) verify(resp *http.Response) error {
	// What is malformed is missing, and all of it is optional.
	info, _ := proxyauth.ParseAuthInfo(resp.Header)
	if err := s.check(resp, info); err != nil {
		return err
	}
	s.remembered, s.retried = true, false
	if next := info["nextnonce"]; next != "" {
		s.useNonce(next)
	}
	return nil
}

func (s *session) check(resp *http.Response, info map[string]string) error {
	p := s.proof
	if p.messageQop(info) != qopAuthInt {
		return p.check(info, "")
	}
	switch s.bodyOf(resp) {
	case bodyEmpty:
		return p.check(info, sum(p.algorithm.new()))
	case bodyReadable:
		s.verifyBody(resp, p, info)
	}
	return nil
}

type bodyKind int

const (
	bodyEmpty bodyKind = iota
	bodyReadable
	bodyUnknown // its hash can't be had
)

// bodyOf says what there is to hash.
func (s *session) bodyOf(resp *http.Response) bodyKind {
	switch {
	case s.method == http.MethodConnect && resp.StatusCode/100 == 2:
		return bodyEmpty
	// The body of a refused CONNECT is not ours to read, that of a switched
	// protocol has no end and must stay writable, and what net/http has
	// decompressed is not what the proxy has hashed.
	case s.method == http.MethodConnect,
		resp.StatusCode == http.StatusSwitchingProtocols,
		resp.Uncompressed:
		return bodyUnknown
	case resp.Body == nil || resp.Body == http.NoBody:
		return bodyEmpty
	default:
		return bodyReadable
	}
}
