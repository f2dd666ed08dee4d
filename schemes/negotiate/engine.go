package negotiate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/channelbinding"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// An Engine makes the tokens of Negotiate, usually for the user who is logged in:
// package sspi has that of Windows, and a program may bring its own, such as the
// system's GSS-API library or a token service. [Scheme.Engine] uses it. Package
// enginetest tests one. A [Scheme] is an Engine itself, that of the built-in Kerberos.
//
// An Engine must be safe for concurrent use.
type Engine interface {
	// NewContext returns a context for one exchange with the proxy. It waits no
	// longer than ctx, which the context must not keep.
	//
	// The error should wrap a [Code], such as [NoTicket], which determines the cause
	// and the hint of [proxyauth.Error]. It wraps [proxyauth.ErrRejected] if the
	// credentials in the target were refused, by a KDC for example, and
	// [proxyauth.ErrHeldBack] if they must not be sent for a while. After any other,
	// the sources of the Scheme are tried.
	NewContext(ctx context.Context, t Target) (Context, error)
}

// A Target says to whom, and as whom, a [Context] authenticates.
type Target struct {
	// Host is the host name of the proxy, in lower case, or its IP address.
	Host string

	// SPN is the service principal name of the proxy, such as
	// HTTP/proxy.example.com, with or without a realm. It is empty if the proxy has
	// none: its URL has an IP address.
	SPN string

	// User is the user whom the provider names: user@REALM, REALM\user or user.
	// Empty means the user who is logged in. An Engine that can't act for User must
	// fail with [NoTicket], and not act for somebody else.
	User string

	// Password returns the password of User. It is nil if there is none. An Engine
	// that uses it must see to it that a wrong one does not lock the account: any
	// number of requests may ask for contexts at once.
	Password func() string

	// Bindings is the channel binding of the connection to an https:// proxy with
	// its type in front, such as "tls-server-end-point:…": the application data of
	// GSS-API's channel bindings. Nil means that there is none.
	Bindings []byte
}

// A Context is the client's side of one exchange. It is used by one goroutine at a time.
type Context interface {
	// Step takes a token of the proxy, nil at first, and returns the next one to
	// send, nil if there is none. Tokens are those of the auth-scheme Negotiate
	// without base64: of SPNEGO, or bare ones of Kerberos or NTLM. The proxy may
	// answer in either form.
	//
	// done reports whether the context is established. Kerberos has to ask for
	// mutual authentication, and not to delegate: so it is not done before it has
	// verified a token of the proxy. Some proxies, such as squid, send none.
	//
	// The error for a token that the proxy's service did not make wraps
	// [NotVerified], and that for one in which the proxy rejects the ticket wraps
	// [TicketRefused]. Others are those of [Engine.NewContext]. Step waits no longer
	// than ctx.
	Step(ctx context.Context, in []byte) (out []byte, done bool, err error)

	// Mechanism returns the mechanism in use, [MechanismKerberos] or
	// [MechanismNTLM]. It is valid after a Step without an error.
	Mechanism() string

	// Close releases what the context holds, also in the middle of an exchange. It
	// is called once for each context, after the last call of another method.
	Close() error
}

// The mechanisms of a [Context].
const (
	MechanismKerberos = "kerberos"
	MechanismNTLM     = "ntlm"
)

var _ Engine = (*Scheme)(nil)

// NewContext makes a context with the built-in Kerberos, so that s is an [Engine]: a
// program's own may use it where that finds no ticket. It gets a ticket from the
// sources; [Scheme.Engine] is not used.
func (s *Scheme) NewContext(ctx context.Context, t Target) (Context, error) {
	if t.SPN == "" {
		return nil, explained(errIPAddress, "")
	}
	ticket, err := s.client().Ticket(ctx, krb.User{Name: t.User, Password: t.Password}, t.SPN, t.Host)
	if err != nil {
		return nil, explained(withVerdict(err), t.SPN)
	}
	kerberos := krb.NewContext(ticket, channelbinding.Hash(t.Bindings))
	return &ticketContext{
		spn:        t.SPN,
		kerberos:   kerberos,
		negotiator: spnego.New(spnego.Mechanism{OIDs: krb.OIDs, Context: kerberos}),
	}, nil
}

// withVerdict adds what an error of Kerberos says of the password.
func withVerdict(err error) error {
	switch {
	case krb.SecretRefused(err):
		return fmt.Errorf("%w: %w", proxyauth.ErrRejected, err)
	case krb.SecretHeld(err):
		return fmt.Errorf("%w: %w", proxyauth.ErrHeldBack, err)
	}
	return err
}

// A ticketContext is a context of the built-in Kerberos.
type ticketContext struct {
	spn        string
	kerberos   *krb.Context
	negotiator *spnego.Negotiator
}

// Format writes "Kerberos context", whatever the verb: a context holds keys.
func (c *ticketContext) Format(f fmt.State, verb rune) { io.WriteString(f, "Kerberos context") }

func (c *ticketContext) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	out, _, err = c.negotiator.Init(ctx, in)
	if errors.Is(err, spnego.ErrNothingLeft) {
		out, err = nil, nil
	}
	if in != nil {
		err = answerError(err)
	}
	return out, c.kerberos.Verified(), explained(err, c.spn)
}

// answerError returns the error for a token of the proxy that can't be used.
func answerError(err error) error {
	switch {
	case err == nil, errors.Is(err, spnego.ErrMIC), errors.Is(err, krb.ErrNotVerified):
		return err
	case errors.Is(err, spnego.ErrRejected), errors.Is(err, krb.ErrProxyReports):
		return fmt.Errorf("%w: %w", errTicketRefused, err)
	}
	return fmt.Errorf("%w: %w", krb.ErrNotVerified, err)
}

func (c *ticketContext) Mechanism() string { return MechanismKerberos }

func (c *ticketContext) Close() error { return nil }
