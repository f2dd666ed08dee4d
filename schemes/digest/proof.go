package digest

import (
	"crypto/subtle"
	"fmt"
	"strings"

	"github.com/go-proxyauth/proxyauth"
)

// A proof is what both sides need to prove one request to each other that they
// know the password. It is copied where a response outlives its turn on the
// session.
type proof struct {
	algorithm     Algorithm
	ha1           proxyauth.Secret
	nonce, cnonce string
	qop           string
	nc            uint32
	target        string
}

// appendResponse appends the response over a2 (RFC 7616, Section 3.4.1), and uses
// scratch on the way, which it returns for its capacity.
func (p *proof) appendResponse(dst, a2, scratch []byte) (response, grown []byte) {
	var ha2 [64]byte // the longest hash in hex
	hashed := p.algorithm.appendHash(ha2[:0], a2)

	scratch = append(append(scratch[:0], p.ha1.Reveal()...), ':')
	scratch = append(append(scratch, p.nonce...), ':')
	if p.qop != qopNone {
		scratch = append(appendCount(scratch, p.nc), ':')
		scratch = append(append(scratch, p.cnonce...), ':')
		scratch = append(append(scratch, p.qop...), ':')
	}
	scratch = append(scratch, hashed...)
	return p.algorithm.appendHash(dst, scratch), scratch
}

// check examines the parameters of a Proxy-Authentication-Info (RFC 7616, Section
// 3.5). bodyHash, in hex, is that of the response's body, for qop auth-int; it is empty
// if it can't be had.
func (p *proof) check(info map[string]string, bodyHash string) error {
	if p.qop != qopNone {
		var nc [8]byte
		if got, ok := info["nc"]; ok && !strings.EqualFold(got, string(appendCount(nc[:0], p.nc))) {
			return fmt.Errorf("%w: digest: nc of another request", proxyauth.ErrNotVerified)
		}
		if got, ok := info["cnonce"]; ok && got != p.cnonce {
			return fmt.Errorf("%w: digest: cnonce of another request", proxyauth.ErrNotVerified)
		}
	}
	got, ok := info["rspauth"]
	if !ok || !p.checks(info, bodyHash) {
		return nil // it is optional, and no forward proxy of today sends it
	}
	if subtle.ConstantTimeCompare([]byte(strings.ToLower(got)), p.rspauth(info, bodyHash)) == 0 {
		return fmt.Errorf("%w: digest: wrong rspauth", proxyauth.ErrNotVerified)
	}
	return nil
}

// checks reports whether a rspauth can be checked.
func (p *proof) checks(info map[string]string, bodyHash string) bool {
	return p.messageQop(info) != qopAuthInt || bodyHash != ""
}

// rspauth returns the response that the proxy should have sent.
func (p *proof) rspauth(info map[string]string, bodyHash string) []byte {
	answer := *p
	answer.qop = p.messageQop(info)
	a2 := ":" + p.target
	if answer.qop == qopAuthInt {
		a2 += ":" + bodyHash
	}
	response, _ := answer.appendResponse(nil, []byte(a2), nil)
	return response
}

// messageQop returns the qop of the proxy's answer, which may differ from the
// request's if it says so.
func (p *proof) messageQop(info map[string]string) string {
	qop := strings.ToLower(info["qop"])
	if p.qop == qopNone || qop != qopAuth && qop != qopAuthInt {
		return p.qop
	}
	return qop
}
