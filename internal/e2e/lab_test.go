package e2e_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/schemes/basic"
	"github.com/go-proxyauth/proxyauth/schemes/digest"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

const (
	user     = "ann"
	password = "s3cret"
)

// A lab is a proxy, origins and a Transport, joined by a network in memory.
type lab struct {
	t       testing.TB
	network *testproxy.Network
	ca      *testproxy.CA
	users   *testproxy.Accounts
	proxy   *testproxy.Proxy
	origin  *testproxy.Origin // http://origin.example.com
	secure  *testproxy.Origin // https://origin.example.com
	base    *http.Transport
	rt      *proxyauth.Transport
	tickets *negotiateLab // what there is besides if the proxy takes tickets, or nil
	asked   atomic.Int64  // how often the provider was asked

	lastConn int // of the last leg that legs has compared
}

// Shared, since keys take time to make.
var (
	ca           = testproxy.NewCA()
	originConfig = ca.ServerConfig("origin.example.com")
)

// newLab returns a lab whose proxy is as config says and whose Transport knows
// the password of ann.
func newLab(t testing.TB, config testproxy.Config) *lab {
	t.Helper()
	l := &lab{t: t, ca: ca, network: testproxy.NewNetwork()}
	l.users = &testproxy.Accounts{Passwords: map[string]string{user: password, "bob": "hunter2"}}
	l.origin = testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network})
	l.secure = testproxy.StartOrigin(t, testproxy.OriginConfig{Network: l.network, TLS: originConfig})
	config.Network = l.network
	for _, m := range config.Auth {
		l.adopt(m)
	}
	l.proxy = testproxy.Start(t, config)
	l.base = &http.Transport{
		Proxy:             http.ProxyURL(l.proxy.URL()),
		DialContext:       l.network.DialContext,
		TLSClientConfig:   ca.ClientConfig(),
		ForceAttemptHTTP2: true,
	}
	l.rt = l.transport(user, password)
	return l
}

// adopt gives a mechanism the lab's users.
func (l *lab) adopt(m testproxy.Mechanism) {
	switch m := m.(type) {
	case *testproxy.Basic:
		m.Accounts = l.users
	case *testproxy.Digest:
		m.Accounts = l.users
	case *testproxy.NTLM:
		if m.Server == nil {
			m.Server = &ntlmserver.Server{RequireMIC: true}
		}
		m.Server.Users = maps.Clone(l.users.Passwords)
	}
}

func allSchemes() []proxyauth.Scheme {
	return []proxyauth.Scheme{&ntlm.Scheme{}, &digest.Scheme{}, &basic.Scheme{}}
}

func (l *lab) schemes() []proxyauth.Scheme {
	if l.tickets == nil {
		return allSchemes()
	}
	return append([]proxyauth.Scheme{l.tickets.scheme}, allSchemes()...)
}

// transport returns a Transport of the lab for a user.
func (l *lab) transport(user, password string) *proxyauth.Transport {
	rt := &proxyauth.Transport{
		Base:    l.base,
		Schemes: l.schemes(),
		Logger:  scannedLogger(l.t),
		Credentials: proxyauth.CredentialsFunc(func(context.Context, *proxyauth.CredentialsRequest) (proxyauth.Credentials, error) {
			l.asked.Add(1)
			return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}, nil
		}),
	}
	l.t.Cleanup(rt.CloseIdleConnections)
	return rt
}

func (l *lab) request(method, target string, body io.Reader) *http.Request {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, target, body)
	require.NoError(l.t, err)
	return req
}

// do sends a request and reads the whole answer.
func (l *lab) do(req *http.Request) (*http.Response, string, error) {
	resp, err := l.rt.RoundTrip(req)
	scanned.Error(l.t.Name(), err)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if e, ok := proxyauth.ResponseError(resp); ok {
		scanned.Error(l.t.Name(), e)
	}
	body, err := io.ReadAll(resp.Body)
	scanned.Error(l.t.Name(), err)
	return resp, string(body), err
}

// get requires a GET to be answered by the origin.
func (l *lab) get(target string) *http.Response {
	l.t.Helper()
	req := l.request(http.MethodGet, target, nil)
	resp, body, err := l.do(req)
	require.NoError(l.t, err)
	require.Equal(l.t, http.StatusOK, resp.StatusCode)
	require.Equal(l.t, "hello from GET "+req.URL.Path, body)
	require.Same(l.t, req, resp.Request)
	return resp
}

// hangUp closes the connections that are not in use. net/http knows this of an
// HTTP/2 one a little after the response has ended.
func (l *lab) hangUp() {
	synctest.Wait()
	l.rt.CloseIdleConnections()
}

// Answers of a scripted proxy.
const (
	anOK  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
	cont  = "HTTP/1.1 100 Continue\r\n\r\n"
)

func bubble(t *testing.T, desc string, f func(t *testing.T)) {
	t.Run(desc, func(t *testing.T) { synctest.Test(t, f) })
}

func credentialsOf(user, password string) proxyauth.Credentials {
	return proxyauth.Credentials{Username: user, Password: proxyauth.NewSecret(password)}
}

// requireKerberosCause requires err to be an *Error for want of a ticket or another
// failure of Kerberos.
func requireKerberosCause(t *testing.T, err error) *proxyauth.Error {
	t.Helper()
	e, ok := errors.AsType[*proxyauth.Error](err)
	require.True(t, ok, "%v", err)
	require.Contains(t, []proxyauth.Cause{proxyauth.CauseTicketMissing, proxyauth.CauseKerberosFailed}, e.Cause)
	return e
}

// explained returns why a 407 could not be answered, or nil.
func explained(resp *http.Response) *proxyauth.Error {
	e, _ := proxyauth.ResponseError(resp)
	return e
}

// unreplayable returns a body without GetBody.
func unreplayable(text string) io.Reader { return struct{ io.Reader }{strings.NewReader(text)} }

func withUser(u *url.URL, user, password string) *url.URL {
	c := *u
	c.User = url.UserPassword(user, password)
	return &c
}
