package schemes

import (
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/sspi"
)

// newNegotiate returns Negotiate with the tickets of the user who is logged in.
func newNegotiate() *negotiate.Scheme { return &negotiate.Scheme{Engine: new(sspi.Engine)} }
