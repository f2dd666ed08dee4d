package digest

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/go-proxyauth/proxyauth"
)

func (s *session) check(resp *http.Response, info map[string]string) error {
	v := s.verdictOn(resp)
	if v.proof.messageQop(info) != qopAuthInt {
		return v.check(info, "")
	}
	switch s.bodyOf(resp) {
	case bodyEmpty:
		return v.check(info, sum(v.proof.algorithm.new()))
	case bodyReadable:
		s.verifyBody(resp, v, info)
		return nil
	}
	return v.check(info, "")
}

// A verdict is what it takes to judge one response. It is a copy, since a body may be
// read when the session is already at its next request.
type verdict struct {
	proof  proof
	proves *atomic.Bool // the proxy has proved itself in a response of this kind
	own    bool         // the proxy may have made the response itself
}

func (s *session) verdictOn(resp *http.Response) verdict {
	v := verdict{proof: s.proof, proves: &s.shared.proves, own: resp.StatusCode >= http.StatusBadRequest}
	if s.method == http.MethodConnect {
		v.proves = &s.shared.provesConnect
	}
	return v
}

// check examines the parameters of a Proxy-Authentication-Info. A proxy that has sent
// rspauth once is held to it: whoever leaves it out may not know the password. Proxies
// add no such field to their error pages, and some none to the answers to CONNECT.
//
// A rspauth over a body whose hash can't be had proves nothing. Where the request was
// not for auth-int, it takes the place of one that could be checked.
func (v *verdict) check(info map[string]string, bodyHash string) error {
	if err := v.proof.check(info, bodyHash); err != nil {
		return err
	}
	_, given := info["rspauth"]
	checked := given && v.proof.checks(info, bodyHash)
	must := v.proves.Load() && !v.own
	switch {
	case checked:
		v.proves.Store(true)
	case must && !given:
		return fmt.Errorf("%w: digest: no rspauth, which the proxy has sent before", proxyauth.ErrNotVerified)
	case must && v.proof.qop != qopAuthInt:
		return fmt.Errorf("%w: digest: rspauth over a body that can't be hashed, which was not asked for", proxyauth.ErrNotVerified)
	}
	return nil
}

type bodyKind int

const (
	bodyEmpty bodyKind = iota
	bodyReadable
	bodyUnknown // it is not ours to read
)

// bodyOf says what there is to read.
func (s *session) bodyOf(resp *http.Response) bodyKind {
	switch {
	case s.method == http.MethodConnect && resp.StatusCode/100 == 2:
		return bodyEmpty
	// The body of a refused CONNECT is not ours to read; that of a switched
	// protocol has no end and must stay writable.
	case s.method == http.MethodConnect, resp.StatusCode == http.StatusSwitchingProtocols:
		return bodyUnknown
	case resp.Body == nil || resp.Body == http.NoBody:
		return bodyEmpty
	default:
		return bodyReadable
	}
}
