// Package ntlm implements the auth-scheme NTLM (MS-NTHT), which Windows and
// Samba servers verify. It speaks NTLMv2 alone (MS-NLMP), and adds what servers
// with extended protection require: a message integrity code over the whole
// exchange, the name of the target, and the channel binding of a TLS proxy.
//
// NTLM authenticates a connection. What it sends can be cracked offline if the
// password is weak, and on a connection without TLS the requests that follow
// are not protected. Where a proxy offers Negotiate too, prefer that.
package ntlm

import (
	"context"
	"net/url"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/channelbinding"
	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

// name is the auth-scheme.
const name = "NTLM"

// A Scheme is NTLM. The zero value works. It must not be changed after first
// use.
//
// The user name is
//
//   - `DOMAIN\user`: user of a domain, or of the computer that verifies if the
//     domain is "." or its name;
//   - user@realm: a user principal name;
//   - user: a user of [Scheme.Domain].
type Scheme struct {
	// Domain is the domain of a plain user name. Empty leaves it to the proxy,
	// which usually takes its own.
	Domain string

	// Workstation is the name of the client's computer, as the domain
	// controller logs it. Empty, the default, gives nothing away.
	Workstation string

	// PasswordIsHash says that the password is the NT hash of the password, as
	// 32 hexadecimal digits.
	PasswordIsHash bool

	// SPN returns the service principal name of a proxy, of which it gets scheme
	// and host. Nil means HTTP/ and the name of the host. A proxy that checks it
	// refuses another name; an empty one is not checked by some.
	SPN func(proxy *url.URL) string

	// InsecureOmitChannelBindings leaves out the channel binding of a TLS
	// proxy, as must be where the TLS ends before the proxy, in a load balancer.
	// Without it the authentication can be relayed to another connection.
	InsecureOmitChannelBindings bool
}

var _ proxyauth.Describer = (*Scheme)(nil)

// Name returns "NTLM".
func (*Scheme) Name() string { return name }

// Properties returns that NTLM authenticates the connection.
func (*Scheme) Properties() proxyauth.SchemeProperties {
	return proxyauth.SchemeProperties{BindsConnection: true}
}

// NewSession begins an exchange, which needs no challenge. An error means that the
// credentials can't be used with NTLM: the user name is empty or has control
// characters, or the NT hash is malformed.
//
// The session implements [proxyauth.Continuer]. It has two legs.
func (s *Scheme) NewSession(_ context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	config := ntlmssp.Config{
		Credentials:    ex.Credentials,
		PasswordIsHash: s.PasswordIsHash,
		Domain:         s.Domain,
		Workstation:    s.Workstation,
		TargetName:     s.spn(ex.Proxy),
	}
	if !s.InsecureOmitChannelBindings {
		config.ChannelBinding = channelbinding.ServerEndPoint(ex.TLS)
	}
	client, err := ntlmssp.New(config)
	if err != nil {
		return nil, err
	}
	return &session{client: client, bound: config.ChannelBinding != nil}, nil
}

func (s *Scheme) spn(proxy *url.URL) string {
	if s.SPN != nil {
		return s.SPN(proxy)
	}
	return "HTTP/" + strings.TrimSuffix(proxy.Hostname(), ".")
}
