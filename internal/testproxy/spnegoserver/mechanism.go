package spnegoserver

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// A Mechanism is Negotiate (RFC 4559) for a testproxy.Proxy. The channel binding
// is that of the proxy's certificate.
type Mechanism struct {
	Server *Server

	// PerRequest wants a token for each request and binds no connection, as
	// mod_auth_gssapi without GssapiConnectionBound.
	PerRequest bool

	// Final says where the last token goes.
	Final Final

	// Poison refuses everything on a connection after one refusal, as squid.
	Poison bool
}

// A Final says where the token goes that comes with success.
type Final int

// Where the last token may go.
const (
	// FinalChallenge is a Proxy-Authenticate line, as mod_auth_gssapi. See
	// also testproxy.Config.BareConnect.
	FinalChallenge Final = iota

	// FinalInfo is a Proxy-Authentication-Info line.
	FinalInfo

	// FinalNever is for proxies like squid, which keep it.
	FinalNever
)

// scheme is the auth-scheme and what comes before a token.
const scheme = "Negotiate"

// Scheme returns "Negotiate".
func (m *Mechanism) Scheme() string { return scheme }

// Challenge returns the bare scheme. A handshake on the connection is forgotten,
// since a request came in between.
func (m *Mechanism) Challenge(c *testproxy.Conn) []string {
	if _, open := c.State(m).(*Context); open {
		c.SetState(m, nil)
	}
	return []string{scheme}
}

// poisoned is the state of a connection that has been refused.
type poisoned struct{}

// Verify takes the token of a request.
func (m *Mechanism) Verify(r *testproxy.Request) testproxy.Verdict {
	if r.Conn.State(m) == (poisoned{}) {
		return testproxy.Reject()
	}
	ctx, ok := r.Conn.State(m).(*Context)
	if !ok {
		ctx = m.Server.NewContext(binding(r.Conn))
		r.Conn.SetState(m, ctx)
	}
	in, err := base64.StdEncoding.DecodeString(r.Credentials)
	if err != nil {
		return m.refuse(r.Conn, nil, ctx)
	}
	out, done, err := ctx.Accept(in)
	switch {
	case err != nil:
		return m.refuse(r.Conn, out, ctx)
	case !done:
		return testproxy.Continue(challenge(out))
	}
	return m.accept(r, out, ctx)
}

func binding(c *testproxy.Conn) []byte {
	if c.TLS() == nil || c.Certificate() == nil {
		return nil
	}
	return ntlmserver.ServerEndPoint(c.Certificate())
}

func challenge(token []byte) string {
	return scheme + " " + base64.StdEncoding.EncodeToString(token)
}

func (m *Mechanism) refuse(c *testproxy.Conn, out []byte, ctx *Context) testproxy.Verdict {
	c.SetState(m, nil)
	if m.Poison {
		c.SetState(m, poisoned{})
	}
	v := testproxy.Reject()
	if out != nil {
		v = testproxy.Continue(challenge(out))
	}
	v.Violation = violation(ctx)
	return v
}

func (m *Mechanism) accept(r *testproxy.Request, out []byte, ctx *Context) testproxy.Verdict {
	r.Conn.SetState(m, nil)
	v := testproxy.AcceptConn(ctx.User())
	v.Bind = !m.PerRequest
	v.Violation = violation(ctx)
	switch {
	case out == nil || m.Final == FinalNever:
	case m.Final == FinalInfo:
		v.Header = http.Header{"Proxy-Authentication-Info": {challenge(out)}}
	default:
		v.Header = http.Header{"Proxy-Authenticate": {challenge(out)}}
	}
	return v
}

func violation(ctx *Context) string { return strings.Join(ctx.Seen().Violations, "; ") }
