// Package schemes lists the authentication schemes that come with proxyauth. A
// program that names its schemes itself, from the packages below this one, links
// no more than it uses.
package schemes

import (
	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// Default returns all schemes with their default settings, the strongest first:
// Negotiate, NTLM, Digest, Basic. The caller may change the list.
func Default() []proxyauth.Scheme {
	return []proxyauth.Scheme{&negotiate.Scheme{}, &ntlm.Scheme{}, &digest.Scheme{}, &basic.Scheme{}}
}
