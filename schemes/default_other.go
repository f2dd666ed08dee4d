//go:build !windows

package schemes

import "github.com/go-proxyauth/proxyauth/schemes/negotiate"

func newNegotiate() *negotiate.Scheme { return new(negotiate.Scheme) }
