package sspi_test

import (
	"net/http"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/sspi"
)

// The user who is logged in to Windows authenticates with Kerberos or, where there is no
// ticket, with NTLM: the program has named its proxy.
func Example() {
	_ = &proxyauth.Transport{
		Base: http.DefaultTransport,
		Schemes: []proxyauth.Scheme{
			&negotiate.Scheme{Engine: &sspi.Engine{Package: sspi.Negotiate}},
			&sspi.NTLM{},
		},
		AllowProxy: proxyauth.AllowHosts("proxy.example.com"),
	}
}
