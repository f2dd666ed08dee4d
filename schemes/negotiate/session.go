package negotiate

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/channelbinding"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// maxLegs bounds the legs of one exchange. The longest that makes sense has
// five: a ticket that is rejected, three for NTLM, and one that asks for more.
const maxLegs = 6

// The strengths of the mechanisms.
const (
	strengthNTLM     = 1
	strengthKerberos = 2
)

// A session is one exchange: the authentication of one connection, or of one
// request where the proxy wants that. It is a chain of attempts: Kerberos, and
// NTLM if the proxy would rather have it.
type session struct {
	scheme   *Scheme
	ex       proxyauth.Exchange
	binding  []byte
	ticket   *krb.Ticket // nil if there is none
	localErr error       // why not
	spn      string      // that was asked for, "" if none was

	engineErr error // why the scheme's engine is not used, nil if it has none

	legs     int
	pending  []byte // the next token, nil if there is none
	final    bool   // the token sent, or pending, should be the last
	kerberos *krb.Context
	ntlm     *ntlmContext
	wrapped  *spnego.Negotiator // nil if NTLM goes without SPNEGO
}

var (
	_ proxyauth.Continuer = (*session)(nil)
	_ proxyauth.Verifier  = (*session)(nil)
)

// Format writes "Negotiate session", whatever the verb: a session holds keys.
func (s *session) Format(f fmt.State, verb rune) { io.WriteString(f, "Negotiate session") }

// Authorization returns the next token. After the last one it begins the
// exchange anew, for a proxy that wants a token for each request.
func (s *session) Authorization(ctx context.Context, _ proxyauth.Leg) (proxyauth.Authorization, error) {
	if s.pending == nil {
		if err := s.begin(ctx); err != nil {
			return proxyauth.Authorization{}, explained(err, s.spn)
		}
	}
	a := proxyauth.Authorization{
		Value:        name + " " + base64.StdEncoding.EncodeToString(s.pending),
		More:         !s.final,
		Strength:     strengthNTLM,
		Fallback:     explained(s.localErr, s.spn),
		ChannelBound: s.binding != nil,
	}
	if s.selectedKerberos() {
		a.Ticket, a.Strength, a.Fallback = true, strengthKerberos, nil
	}
	s.pending = nil
	s.legs++
	return a, nil
}

// begin makes the opening token.
func (s *session) begin(ctx context.Context) error {
	if s.legs > 0 && s.ticket != nil {
		// The ticket may have ended since the exchange before.
		if err := s.obtain(ctx); err != nil {
			return err
		}
	}
	s.legs, s.kerberos, s.ntlm, s.wrapped = 0, nil, nil, nil
	if s.ticket != nil {
		return s.beginKerberos(ctx)
	}
	return s.beginNTLM(ctx, s.scheme.wants.has(memoryKey(s.ex)))
}

// obtain gets the ticket. If there is none to be had, NTLM remains where it is
// allowed, but not for a password that the KDC refuses, or may have refused, or
// whose account it says is not to be used.
func (s *session) obtain(ctx context.Context) error {
	s.ticket, s.spn, s.localErr = s.scheme.ticket(ctx, s.ex)
	switch {
	case s.localErr == nil:
		return nil
	case krb.SecretRefused(s.localErr):
		return fmt.Errorf("%w: %w", proxyauth.ErrRejected, s.localErr)
	case krb.SecretHeld(s.localErr):
		return fmt.Errorf("%w: %w", proxyauth.ErrHeldBack, s.localErr)
	}
	s.localErr = joined(s.engineErr, s.localErr, s.spn)
	if ctx.Err() != nil || !s.scheme.allowsNTLM(s.ex) {
		return s.localErr
	}
	return nil
}

func (s *session) beginKerberos(ctx context.Context) error {
	s.kerberos = krb.NewContext(s.ticket, channelbinding.Hash(s.binding))
	mechs := []spnego.Mechanism{{OIDs: krb.OIDs, Context: s.kerberos}}
	if s.scheme.allowsNTLM(s.ex) {
		// Credentials that NTLM can't send are no reason to do without Kerberos.
		if err := s.makeNTLM(ctx); err == nil {
			mechs = append(mechs, spnego.Mechanism{OIDs: spnego.NTLM, Context: s.ntlm})
		}
	}
	s.wrapped = spnego.New(mechs...)
	return s.step(ctx, s.wrapped, nil)
}

// beginNTLM begins with NTLM alone. It goes without SPNEGO, as from a Windows
// client that has no ticket: what stands between squid and its helpers knows
// NTLM by its signature. A proxy that would not have it so gets it wrapped.
func (s *session) beginNTLM(ctx context.Context, wrap bool) error {
	if err := s.makeNTLM(ctx); err != nil {
		return errors.Join(err, s.localErr)
	}
	s.kerberos, s.wrapped = nil, nil
	if !wrap {
		return s.step(ctx, s.ntlm, nil)
	}
	s.wrapped = spnego.New(spnego.Mechanism{OIDs: spnego.NTLM, Context: s.ntlm})
	return s.step(ctx, s.wrapped, nil)
}

func (s *session) makeNTLM(ctx context.Context) error {
	host := s.scheme.host(ctx, s.ex.Proxy)
	spn := s.scheme.spn(s.ex.Proxy, host)
	if spn == "" {
		spn = "HTTP/" + host
	}
	var err error
	s.ntlm, err = newNTLM(s.ex, spn, s.binding)
	return err
}

// step gives a token to the context and keeps its answer for the next leg.
func (s *session) step(ctx context.Context, c spnego.Context, token []byte) error {
	out, done, err := c.Init(ctx, token)
	if err != nil {
		return err
	}
	s.pending, s.final = out, done
	return nil
}

// selectedKerberos reports whether Kerberos is the mechanism in use.
func (s *session) selectedKerberos() bool {
	return s.kerberos != nil && (s.wrapped == nil || s.wrapped.Selected() == 0)
}

// proved reports whether a password was proved to the proxy.
func (s *session) proved() bool { return s.ntlm != nil && s.ntlm.proved }
