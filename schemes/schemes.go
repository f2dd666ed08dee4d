// Package schemes lists the authentication schemes that come with proxyauth. A
// program that names its schemes itself, from the packages below this one, links
// no more than it uses.
package schemes

import (
	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// Default returns all schemes with their default settings, the strongest first:
// Negotiate, NTLM, Digest, Basic. The caller may change the list.
//
// On Windows, Negotiate has the Kerberos tickets of the user who is logged in, from SSPI:
// see package sspi, also for NTLM as this user, which is not among the defaults.
func Default() []proxyauth.Scheme {
	return []proxyauth.Scheme{newNegotiate(), &ntlm.Scheme{}, &digest.Scheme{}, &basic.Scheme{}}
}
