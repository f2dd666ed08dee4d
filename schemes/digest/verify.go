package digest

import "net/http"

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
