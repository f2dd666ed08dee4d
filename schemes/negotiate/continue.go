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

// Continue implements [proxyauth.Continuer].
//
// A 407 after NTLM's AUTHENTICATE_MESSAGE is a refusal of the password, unless
// the proxy has accepted it and wants an integrity code. A 407 after a ticket
// without a token of the proxy is a refusal of the ticket, which is dropped: the
// error has the code [TicketRefused]. If a new session would try something else, a new
// ticket or NTLM, it is Broken, and otherwise Refused. A proxy that says that it
// rejects the ticket, or selects NTLM, gets NTLM at once if there is a password.
func (s *session) Continue(ctx context.Context, challenges []proxyauth.Challenge) (proxyauth.Next, error) {
	next, err := s.proceed(ctx, challenges)
	return next, explained(err, s.spn)
}

func (s *session) proceed(ctx context.Context, challenges []proxyauth.Challenge) (proxyauth.Next, error) {
	if s.legs == 0 {
		return proxyauth.GoOn, errors.New("proxyauth: negotiate: Continue before Authorization")
	}
	if s.legs >= maxLegs {
		return proxyauth.Broken, errLegs
	}
	proved := s.proved()
	next, err := s.take(ctx, challengeToken(challenges))
	failed := err != nil || next == proxyauth.Broken
	if failed && proved && !errors.Is(err, spnego.ErrMIC) {
		return proxyauth.Refused, nil
	}
	return next, err
}

func (s *session) take(ctx context.Context, text string) (proxyauth.Next, error) {
	if text == "" {
		return s.bare()
	}
	token, err := decode(text)
	if err != nil {
		return proxyauth.GoOn, err
	}
	if bytes.HasPrefix(token, []byte(spnego.NTLMSignature)) {
		return proxyauth.GoOn, s.rawNTLM(ctx, token)
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

// bare handles a 407 without a token: the proxy has given up.
func (s *session) bare() (proxyauth.Next, error) {
	if s.selectedKerberos() {
		return s.refused(nil)
	}
	switch {
	case s.proved():
	case s.wrapped == nil:
		s.scheme.wants.add(memoryKey(s.ex))
	case s.ticketless():
		return proxyauth.GoOn, errNoNTLM
	}
	return proxyauth.Broken, errNoAnswer
}

// ticketless reports whether the session has NTLM alone, in the place of a ticket.
func (s *session) ticketless() bool { return s.localErr != nil && s.ticket == nil }

// refused drops the ticket that the proxy has refused. why is what the proxy said,
// or nil.
//
// A ticket from before the proxy's key was changed can't be used any more, so that a
// new one is worth a try, on another connection: squid closes this one.
func (s *session) refused(why error) (proxyauth.Next, error) {
	err := bound(errTicketRefused, s.binding)
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
		return proxyauth.Refused, err
	}
	return proxyauth.Broken, err
}

// bound adds to the refusal of a ticket what the channel binding may have to do with it.
func bound(err error, binding []byte) error {
	if binding == nil {
		return err
	}
	return fmt.Errorf("%w; or %w", err, errDecrypted)
}

// rawNTLM takes a message of NTLM without SPNEGO around it.
func (s *session) rawNTLM(ctx context.Context, message []byte) error {
	switch {
	case s.ntlm == nil:
		return errNoPassword
	case s.ntlm.opened:
		s.kerberos, s.wrapped = nil, nil
		return s.step(ctx, s.ntlm, message)
	}
	// An answer to the ticket: it can be no more than a wish.
	s.scheme.proxies.add(memoryKey(s.ex))
	return s.beginNTLM(ctx, false)
}

// answer handles a token of SPNEGO, or of Kerberos without it.
func (s *session) answer(ctx context.Context, token []byte) (proxyauth.Next, error) {
	if s.wrapped == nil {
		return proxyauth.Broken, errOtherMechanism
	}
	kerberos := s.selectedKerberos()
	err := s.step(ctx, s.wrapped, token)
	switch {
	case err == nil:
		if kerberos && !s.selectedKerberos() {
			s.scheme.proxies.add(memoryKey(s.ex))
			s.scheme.wants.add(memoryKey(s.ex))
		}
		return proxyauth.GoOn, nil
	case !kerberos && (errors.Is(err, spnego.ErrRejected) || errors.Is(err, spnego.ErrNothingLeft)):
		if s.ticketless() && !s.proved() {
			return proxyauth.GoOn, errNoNTLM
		}
		return proxyauth.Broken, fmt.Errorf("%w: %w", errRejectsNTLM, err)
	case !kerberos:
		return proxyauth.GoOn, err
	case errors.Is(err, spnego.ErrNTLM):
		return proxyauth.GoOn, fmt.Errorf("%w (%w)", errNoPassword, err)
	case errors.Is(err, spnego.ErrNothingLeft) && s.kerberos.Verified():
		// Apache says with each answer that it has accepted the ticket.
		return proxyauth.Complete, nil
	case errors.Is(err, spnego.ErrNothingLeft):
		return s.refused(nil)
	case errors.Is(err, spnego.ErrRejected), errors.Is(err, krb.ErrProxyReports):
		return s.rejected(ctx, err)
	}
	return proxyauth.GoOn, err
}

// rejected goes on with NTLM where the proxy has said that it rejects the ticket,
// so that the exchange is over and another one can begin.
func (s *session) rejected(ctx context.Context, why error) (proxyauth.Next, error) {
	if s.ntlm == nil || !s.ticket.New() {
		return s.refused(why)
	}
	s.ticket.Forget()
	s.localErr = fmt.Errorf("%w: %w", bound(errTicketRefused, s.binding), why)
	s.scheme.proxies.add(memoryKey(s.ex))
	return proxyauth.GoOn, s.beginNTLM(ctx, true)
}
