package interop_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// kerberosProxies are the ones that take tickets.
var kerberosProxies = []struct {
	desc  string
	start func(*testing.T, *interop.KDC) *interop.Proxy

	// perRequest says that an authenticated connection is not enough.
	perRequest bool

	// provesItself says that a forwarded request's answer carries the token
	// that only the ticket's service can make.
	provesItself bool
}{
	{
		desc:  "squid",
		start: func(t *testing.T, kdc *interop.KDC) *interop.Proxy { return startSquidNegotiate(t, kdc) },
	},
	{
		desc: "Apache, per connection",
		start: func(t *testing.T, kdc *interop.KDC) *interop.Proxy {
			return startApacheGSSAPI(t, kdc, interop.PerConnection)
		},
		provesItself: true,
	},
	{
		desc: "Apache, per request",
		start: func(t *testing.T, kdc *interop.KDC) *interop.Proxy {
			return startApacheGSSAPI(t, kdc, interop.PerRequest)
		},
		perRequest:   true,
		provesItself: true,
	},
}

// startSquidNegotiate starts a squid that offers Negotiate first.
func startSquidNegotiate(t *testing.T, kdc interop.TicketIssuer, others ...interop.SquidAuth) *interop.Proxy {
	t.Helper()
	auth := append([]interop.SquidAuth{interop.SquidNegotiate(kdc)}, others...)
	return interop.Squid{Auth: auth, TLS: true, Env: kdc.Env()}.Start(t)
}

func startApacheGSSAPI(t *testing.T, kdc *interop.KDC, binding interop.GSSAPIBinding) *interop.Proxy {
	t.Helper()
	return interop.Apache{Auth: interop.ApacheGSSAPI(kdc, binding), TLS: true, Env: kdc.Env()}.Start(t)
}

// A user goes through one URL of a proxy with the tickets of a scheme.
type user struct {
	origin *origin
	proxy  *interop.Proxy
	via    *url.URL

	scheme *negotiate.Scheme

	// provider is nil for a user who has nothing but tickets.
	provider proxyauth.CredentialsProvider

	// change, if not nil, changes the transport before its first use.
	change func(*proxyauth.Transport)
}

// client returns a client that knows the proxy by the name in its service
// principal.
func (u user) client(t testing.TB) *http.Client {
	t.Helper()
	via := &url.URL{Scheme: u.via.Scheme, Host: net.JoinHostPort(interop.ProxyHost, u.via.Port())}
	base := bareTransport(t, u.origin, u.proxy, via)
	base.ForceAttemptHTTP2 = true
	base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, u.via.Host)
	}
	transport := &proxyauth.Transport{
		Base:        base,
		Schemes:     []proxyauth.Scheme{u.scheme, &basic.Scheme{}},
		Credentials: u.provider,
		Logger:      scanned.Logger(t.Name()),
	}
	if u.change != nil {
		u.change(transport)
	}
	return clientOf(t, transport, base)
}

// requireFailure sends a request that does not get through and returns why.
func requireFailure(t *testing.T, client *http.Client, target string) *proxyauth.Error {
	t.Helper()
	resp, err := client.Get(target)
	if err != nil {
		why, ok := errors.AsType[*proxyauth.Error](err)
		require.True(t, ok, "%v", err)
		return why
	}
	require.Equal(t, http.StatusProxyAuthRequired, resp.StatusCode)
	require.NotEmpty(t, readBody(t, resp))
	why, _ := proxyauth.ResponseError(resp)
	require.NotNil(t, why)
	return why
}

// requireTried requires that Negotiate failed because of target.
func requireTried(t *testing.T, why *proxyauth.Error, target error) {
	t.Helper()
	require.ErrorIs(t, why, target)
	require.NotEmpty(t, why.Tried, "%v", why)
	require.Equal(t, "Negotiate", why.Tried[0].Scheme)
	require.ErrorIs(t, why.Tried[0], target)
}
