package proxyauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
)

// A bearerScheme presents a token (RFC 6750), which is the password of the
// credentials.
type bearerScheme struct{}

var errNoToken = errors.New("bearer: the token is empty")

func (bearerScheme) Name() string { return "Bearer" }

func (bearerScheme) NewSession(_ context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	if ex.Credentials.Password.Reveal() == "" {
		return nil, errNoToken
	}
	return bearerSession{ex.Credentials.Password}, nil
}

// Properties lets Transport.ForbidCleartext keep the token from http:// proxies.
func (bearerScheme) Properties() proxyauth.SchemeProperties {
	return proxyauth.SchemeProperties{RevealsSecret: true}
}

type bearerSession struct{ token proxyauth.Secret }

func (s bearerSession) Authorization(context.Context, proxyauth.Leg) (proxyauth.Authorization, error) {
	return proxyauth.Authorization{Value: "Bearer " + s.token.Reveal()}, nil
}

// A scheme of one's own takes its place among the others. It needs two methods,
// and its session one.
func ExampleScheme() {
	proxy := startProxy(bearerProxy{token: "mF_9.B5f-4.1JqM"})
	defer proxy.Close()

	client := &http.Client{Transport: &proxyauth.Transport{
		Base:    proxy.Base(),
		Schemes: []proxyauth.Scheme{bearerScheme{}, basic.Scheme{}},
		Credentials: proxyauth.CredentialsFunc(func(_ context.Context, req *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			if req.Scheme != "Bearer" {
				return proxyauth.Credentials{}, proxyauth.ErrNoCredentials
			}
			return proxyauth.Credentials{Password: proxyauth.NewSecret("mF_9.B5f-4.1JqM")}, nil
		}),
	}}
	for range 2 {
		resp, err := client.Get("http://origin.example.com/")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	proxy.PrintLegs()
	// Output:
	// 200 OK
	// 200 OK
	// GET http://origin.example.com/ -> 407
	// GET http://origin.example.com/ Bearer -> 200
	// GET http://origin.example.com/ Bearer -> 200
}
