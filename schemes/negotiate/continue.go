package negotiate

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// maxToken bounds a token of the proxy. A header field is not as long.
const maxToken = 64 << 10

// Continue takes the proxy's answer to the last token. If that completes the
// exchange, though it came with a 407, the error is [proxyauth.ErrComplete].
//
// A 407 after NTLM's AUTHENTICATE_MESSAGE is a refusal of the password, unless
// the proxy has accepted it and wants an integrity code. After a ticket it is one
// of the ticket, not of a password: the error wraps [ErrTicketRefused], and
// [proxyauth.ErrHandshakeBroken] as well if another exchange would go otherwise,
// with a new ticket or with NTLM. A proxy that says that it rejects the ticket, or
// selects NTLM, gets NTLM at once if there is a password.
func (s *session) Continue(ctx context.Context, challenges []proxyauth.Challenge) error {
	if s.legs == 0 {
		return errors.New("proxyauth: negotiate: Continue before Authorization")
	}
	if s.legs >= maxLegs {
		return fmt.Errorf("%w: %w", proxyauth.ErrHandshakeBroken, errLegs)
	}
	proved := s.proved()
	err := s.take(ctx, challengeToken(challenges))
	if errors.Is(err, proxyauth.ErrComplete) {
		return err
	}
	if err != nil && proved && !errors.Is(err, spnego.ErrMIC) {
		return s.passwordRejected()
	}
	return err
}

func (s *session) passwordRejected() error {
	if s.localErr != nil {
		return fmt.Errorf("%w: NTLM inside Negotiate; Kerberos: %w", proxyauth.ErrRejected, s.localErr)
	}
	return fmt.Errorf("%w: NTLM inside Negotiate", proxyauth.ErrRejected)
}

func (s *session) take(ctx context.Context, text string) error {
	if text == "" {
		return s.bare()
	}
	token, err := decode(text)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(token, []byte(ntlmSignature)) {
		return s.rawNTLM(ctx, token)
	}
	return s.answer(ctx, token)
}

// challengeToken returns the first token, or "" if there is none.
func challengeToken(challenges []proxyauth.Challenge) string {
	for _, c := range challenges {
		if c.Token68 != "" {
			return c.Token68
		}
	}
	return ""
}

func decode(text string) ([]byte, error) {
	if len(text) > base64.StdEncoding.EncodedLen(maxToken) {
		return nil, errToken
	}
	token, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(token) == 0 {
		return nil, errToken
	}
	return token, nil
}

// bare takes a 407 without a token: the proxy has given up.
func (s *session) bare() error {
	if s.selectedKerberos() {
		return s.refused(nil)
	}
	if s.wrapped == nil && !s.proved() {
		s.scheme.wants.add(memoryKey(s.ex))
	}
	return s.broken("the proxy does not answer NTLM")
}

func (s *session) broken(why string) error {
	if s.localErr != nil {
		return fmt.Errorf("%w: negotiate: %s; Kerberos: %w", proxyauth.ErrHandshakeBroken, why, s.localErr)
	}
	return fmt.Errorf("%w: negotiate: %s", proxyauth.ErrHandshakeBroken, why)
}

// refused returns the error for a proxy that has refused the ticket, and why if
// it has said so.
//
// A ticket from before the proxy's key was changed is no good any more, so that a
// new one is worth a try. A connection is no place for it: squid lets none come
// back after a failure.
func (s *session) refused(why error) error {
	err := ErrTicketRefused
	if s.binding != nil {
		err = fmt.Errorf("%w; or TLS ends before the proxy: see InsecureOmitChannelBindings", err)
	}
	if why != nil {
		err = fmt.Errorf("%w: %w", err, why)
	}
	old := !s.ticket.New()
	s.ticket.Forget()
	switch {
	case old:
	case s.ntlm != nil:
		s.scheme.proxies.add(memoryKey(s.ex))
	default:
		return err
	}
	return fmt.Errorf("%w: %w", proxyauth.ErrHandshakeBroken, err)
}

// rawNTLM takes a message of NTLM without SPNEGO around it.
func (s *session) rawNTLM(ctx context.Context, message []byte) error {
	switch {
	case s.ntlm == nil:
		return ErrNoPassword
	case s.ntlm.opened:
		s.kerberos, s.wrapped = nil, nil
		return s.step(ctx, s.ntlm, message)
	}
	// An answer to the ticket: it can be no more than a wish.
	s.scheme.proxies.add(memoryKey(s.ex))
	return s.beginNTLM(ctx, false)
}

// answer takes a token of SPNEGO, or of Kerberos without it.
func (s *session) answer(ctx context.Context, token []byte) error {
	if s.wrapped == nil {
		return s.broken("the proxy answers NTLM with another mechanism")
	}
	kerberos := s.selectedKerberos()
	err := s.step(ctx, s.wrapped, token)
	switch {
	case err == nil:
		if kerberos && !s.selectedKerberos() {
			s.scheme.proxies.add(memoryKey(s.ex))
			s.scheme.wants.add(memoryKey(s.ex))
		}
		return nil
	case !kerberos:
		return s.brokenBy(err)
	case errors.Is(err, spnego.ErrNotOffered):
		return fmt.Errorf("%w (%w)", ErrNoPassword, err)
	case errors.Is(err, spnego.ErrNothingLeft) && s.kerberos.Verified():
		// Apache says with each answer that it has accepted the ticket.
		return proxyauth.ErrComplete
	case errors.Is(err, spnego.ErrNothingLeft):
		return s.refused(nil)
	case errors.Is(err, spnego.ErrRejected), errors.Is(err, krb.ErrProxyReports):
		return s.rejected(ctx, err)
	}
	return err
}

// brokenBy returns the error for an answer to NTLM's first message.
func (s *session) brokenBy(err error) error {
	if errors.Is(err, spnego.ErrRejected) || errors.Is(err, spnego.ErrNothingLeft) {
		return fmt.Errorf("%w: %w", s.broken("the proxy rejects NTLM"), err)
	}
	return err
}

// rejected goes on with NTLM where the proxy has said that it rejects the ticket,
// so that the exchange is over and another one can begin.
func (s *session) rejected(ctx context.Context, why error) error {
	if s.ntlm == nil || !s.ticket.New() {
		return s.refused(why)
	}
	s.ticket.Forget()
	s.localErr = fmt.Errorf("%w: %w", ErrTicketRefused, why)
	s.scheme.proxies.add(memoryKey(s.ex))
	return s.beginNTLM(ctx, true)
}
