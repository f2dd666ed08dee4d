package proxyauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/credentials"
	"github.com/go-proxyauth/proxyauth/schemes"
)

// A proxy that the network or the environment has named is given credentials only
// if it is on the program's own list.
func ExampleAllowHosts() {
	proxy := digestProxy() // proxy.example.com:3128
	defer proxy.Close()

	for _, allowed := range [][]string{{"proxy.example.org", ".corp.example.com"}, {"proxy.example.com:3128"}} {
		client := &http.Client{Transport: &proxyauth.Transport{
			Base:        proxy.Base(),
			Schemes:     schemes.Default(),
			Credentials: credentials.Static("ann", "s3cret"),
			AllowProxy:  proxyauth.AllowHosts(allowed...),
		}}
		resp, err := client.Get("http://origin.example.com/")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
		if e, ok := proxyauth.ResponseError(resp); ok {
			fmt.Println(e.Cause)
		}
		client.CloseIdleConnections()
	}
	proxy.PrintLegs()
	// Output:
	// 407 Proxy Authentication Required
	// policy_forbids
	// 200 OK
	// GET http://origin.example.com/ -> 407
	// GET http://origin.example.com/ -> 407
	// GET http://origin.example.com/ Digest -> 200
}

// The hooks of a Trace are told of each leg, and of what the proxy has said of the
// credentials.
func ExampleTrace() {
	proxy := digestProxy()
	defer proxy.Close()

	client := &http.Client{Transport: &proxyauth.Transport{
		Base:        proxy.Base(),
		Schemes:     schemes.Default(),
		Credentials: credentials.Static("ann", "s3cret"),
		Trace: &proxyauth.Trace{
			LegAnswered: func(_ context.Context, i proxyauth.TraceInfo) {
				fmt.Printf("%s %s, leg %d %s: %d\n", i.Op, i.Target, i.Leg, i.Scheme, i.Status)
			},
			Challenged:       func(_ context.Context, i proxyauth.TraceInfo) { fmt.Println("offered:", i.Offered) },
			CredentialsAsked: func(_ context.Context, i proxyauth.TraceInfo) { fmt.Println("asked for", i.Scheme, i.Err) },
			Accepted:         func(_ context.Context, i proxyauth.TraceInfo) { fmt.Println("accepted by", i.Proxy) },
			TunnelOpened:     func(_ context.Context, i proxyauth.TraceInfo) { fmt.Println("open after legs:", i.Leg) },
		},
	}}
	resp, err := client.Get("https://origin.example.com/")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	// Output:
	// CONNECT origin.example.com:443, leg 1 : 407
	// offered: [Digest Basic]
	// asked for Digest <nil>
	// CONNECT origin.example.com:443, leg 2 Digest: 200
	// accepted by http://proxy.example.com:3128
	// open after legs: 2
}

// The text of an error says what has happened, for a log. Its hint says what to do,
// for whoever has to.
func ExampleError_Hint() {
	proxy := digestProxy()
	defer proxy.Close()

	client := &http.Client{Transport: &proxyauth.Transport{
		Base:        proxy.Base(),
		Schemes:     schemes.Default(),
		Credentials: credentials.Static("ann", "wrong"),
	}}
	_, err := client.Get("https://origin.example.com/")
	if e, ok := errors.AsType[*proxyauth.Error](err); ok {
		fmt.Println(e)
		fmt.Println(e.Hint())
	}
	// Output:
	// proxyauth: CONNECT origin.example.com:443 via http://proxy.example.com:3128: credentials rejected (status 407): Digest: credentials rejected
	// The proxy refused the user name or password: the password is wrong or has expired, the account is locked, or the domain is missing from the user name (DOMAIN\user). They are not sent again, to spare the account, until the provider returns others or Transport.Reset is called.
}
