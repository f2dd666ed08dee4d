package sspi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/channelbinding"
	"github.com/go-proxyauth/proxyauth/schemes/ntlm"
)

// NTLM is the auth-scheme NTLM as the user who is logged in to Windows, in place of
// [ntlm.Scheme] in Transport.Schemes. If the provider has credentials, it is ntlm.Scheme,
// on any system.
//
// Whatever proxy asks for NTLM is given something from which the user's password can be
// guessed offline, and which can be relayed to another server in the user's name while the
// logon lasts. So set [proxyauth.Transport.AllowProxy], unless nobody else decides which
// proxy is used.
//
// The zero value works. It must not be changed after first use.
type NTLM struct {
	// Scheme has the settings. SPN and InsecureOmitChannelBindings hold for both ways.
	ntlm.Scheme

	// UseCredentials gives the provider's credentials to SSPI as well.
	UseCredentials bool

	system system // nil means this computer's
	logins logins
}

var (
	_ proxyauth.Describer = (*NTLM)(nil)
	_ proxyauth.Resetter  = (*NTLM)(nil)
)

// Properties returns that NTLM authenticates the connection, and is Ambient: the user who
// is logged in needs no credentials of the provider.
func (*NTLM) Properties() proxyauth.SchemeProperties {
	return proxyauth.SchemeProperties{BindsConnection: true, Ambient: true}
}

// Reset releases the login that is kept for further sessions with UseCredentials.
func (n *NTLM) Reset() { n.logins.reset() }

// NewSession begins an exchange. The session implements [proxyauth.Continuer] and, where
// SSPI is used, io.Closer.
func (n *NTLM) NewSession(ctx context.Context, ex proxyauth.Exchange) (proxyauth.Session, error) {
	user := ex.Credentials.Username
	if user != "" && !n.UseCredentials {
		return n.Scheme.NewSession(ctx, ex)
	}
	var id *identity
	if user != "" {
		var err error
		if id, err = newIdentity(user, ex.Credentials.Password.Reveal); err != nil {
			return nil, err
		}
	}
	s := &security{system: systemOr(n.system), logins: &n.logins, pkg: ntlmPackage, id: id}
	if s.target = "HTTP/" + strings.TrimSuffix(ex.Proxy.Hostname(), "."); n.SPN != nil {
		s.target = n.SPN(ex.Proxy)
	}
	if !n.InsecureOmitChannelBindings {
		s.bindings = bindingsBuffer(channelbinding.ServerEndPoint(ex.TLS))
	}
	return &ntlmSession{context: s}, nil
}

// maxMessage bounds a message of the proxy. A header field is not as long.
const maxMessage = 64 << 10

var (
	errNoMessage = errors.New("proxyauth: sspi: no challenge message in answer to NTLM's negotiate message")
	errTwice     = errors.New("proxyauth: sspi: a challenge message in answer to NTLM's authenticate message")
	errMessage   = errors.New("proxyauth: sspi: NTLM's challenge message is too long or not base64")
)

// An ntlmSession is one exchange: NEGOTIATE_MESSAGE, CHALLENGE_MESSAGE,
// AUTHENTICATE_MESSAGE.
type ntlmSession struct {
	context *security
	sent    int
	answer  []byte // AUTHENTICATE_MESSAGE
}

var (
	_ proxyauth.Continuer = (*ntlmSession)(nil)
	_ io.Closer           = (*ntlmSession)(nil)
)

// Format writes "NTLM session", whatever the verb.
func (s *ntlmSession) Format(f fmt.State, verb rune) { io.WriteString(f, "NTLM session") }

// Close releases the handles.
func (s *ntlmSession) Close() error { return s.context.Close() }

// Authorization returns the next message.
func (s *ntlmSession) Authorization(ctx context.Context, _ proxyauth.Leg) (proxyauth.Authorization, error) {
	message := s.answer
	if s.sent == 0 {
		r, err := s.context.step(ctx, nil)
		if err != nil {
			return proxyauth.Authorization{}, err
		}
		message = r.out
	}
	if len(message) == 0 || s.sent > 1 {
		return proxyauth.Authorization{}, errOutOfTurn
	}
	s.sent++
	return proxyauth.Authorization{
		Value:        "NTLM " + base64.StdEncoding.EncodeToString(message),
		More:         s.sent == 1,
		ChannelBound: s.context.bindings != nil,
	}, nil
}

// Continue examines the answer to a message. A 407 to the second one is a refusal, unless
// it has a CHALLENGE_MESSAGE too: then the proxy did not look at it.
func (s *ntlmSession) Continue(ctx context.Context, challenges []proxyauth.Challenge) (proxyauth.Next, error) {
	text := ""
	for _, c := range challenges {
		if text == "" {
			text = c.Token68
		}
	}
	switch {
	case s.sent == 2 && text == "":
		return proxyauth.Refused, nil
	case s.sent == 2:
		return proxyauth.Broken, errTwice
	case s.sent == 0:
		return proxyauth.GoOn, errOutOfTurn
	case text == "":
		return proxyauth.Broken, errNoMessage
	}
	message, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(message) > maxMessage {
		return proxyauth.GoOn, errMessage
	}
	r, err := s.context.step(ctx, message)
	s.answer = r.out
	return proxyauth.GoOn, err
}
