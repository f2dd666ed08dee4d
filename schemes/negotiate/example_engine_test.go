package negotiate_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A tokenService is an engine that asks a service of the program's own for tokens: on a
// build farm, one machine that has the tickets. It would be asked over a connection of its
// own, without a proxy.
type tokenService struct {
	token func(ctx context.Context, spn string, bindings []byte) ([]byte, error)
}

func (s tokenService) NewContext(_ context.Context, t negotiate.Target) (negotiate.Context, error) {
	switch {
	case t.User != "": // the service has tickets of its own alone
		return nil, fmt.Errorf("token service: %w for %s", negotiate.NoTicket, t.User)
	case t.SPN == "":
		return nil, fmt.Errorf("token service: %w", negotiate.IPAddress)
	}
	return &serviceContext{s, t}, nil
}

type serviceContext struct {
	service tokenService
	target  negotiate.Target
}

func (c *serviceContext) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	if in != nil { // the service would have to verify the proxy's token, too
		return nil, false, fmt.Errorf("token service: %w", negotiate.NotVerified)
	}
	out, err = c.service.token(ctx, c.target.SPN, c.target.Bindings)
	return out, false, err
}

func (c *serviceContext) Mechanism() string { return negotiate.MechanismKerberos }

func (c *serviceContext) Close() error { return nil }

// An engine of the program's own has the tickets. It is used alone: neither a ticket cache
// nor a password takes its place.
func ExampleEngine() {
	transport := &proxyauth.Transport{
		Base: http.DefaultTransport,
		Schemes: []proxyauth.Scheme{&negotiate.Scheme{
			Engine: tokenService{func(context.Context, string, []byte) ([]byte, error) {
				return nil, fmt.Errorf("token service: %w", negotiate.NoTicket)
			}},
			Sources:     []negotiate.Source{},
			DisableNTLM: true,
		}},
	}
	fmt.Println(transport.Check())
	// Output: <nil>
}
