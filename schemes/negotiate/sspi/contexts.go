package sspi

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// A wrapped is a context of the package Kerberos, whose tokens are put into SPNEGO here.
type wrapped struct {
	*security
	kerberos   *kerberos
	negotiator *spnego.Negotiator
}

func newWrapped(s *security) *wrapped {
	k := &kerberos{security: s}
	return &wrapped{s, k, spnego.New(spnego.Mechanism{OIDs: spnego.Kerberos, Context: k})}
}

// Step implements [negotiate.Context].
func (w *wrapped) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	out, _, err = w.negotiator.Init(ctx, in)
	if errors.Is(err, spnego.ErrNothingLeft) {
		out, err = nil, nil
	}
	return out, w.kerberos.verified, tokenError(in, err)
}

// Mechanism implements [negotiate.Context].
func (*wrapped) Mechanism() string { return negotiate.MechanismKerberos }

// tokenError returns the error for a token that is not what it should be.
func tokenError(in []byte, err error) error {
	switch {
	case err == nil, in == nil:
		return err
	case errors.Is(err, spnego.ErrRejected):
		return fmt.Errorf("%w: %w", negotiate.TicketRefused, err)
	case errors.Is(err, spnego.ErrMalformed), errors.Is(err, spnego.ErrNotOffered):
		return fmt.Errorf("%w: %w", negotiate.NotVerified, err)
	}
	return err
}

// A kerberos is Kerberos as a mechanism of SPNEGO.
type kerberos struct {
	*security
	opened, verified bool
}

var errOutOfTurn = errors.New("proxyauth: sspi: token out of turn")

// Init implements [spnego.Context].
func (k *kerberos) Init(ctx context.Context, token []byte) (out []byte, done bool, err error) {
	if k.opened == (token == nil) || k.verified {
		return nil, false, errOutOfTurn
	}
	r, err := k.step(ctx, token)
	switch {
	case err != nil && spnego.ReportsError(token) && errors.Is(err, negotiate.NotVerified):
		return nil, false, fmt.Errorf("proxyauth: sspi: %w: the proxy reports an error of Kerberos", negotiate.TicketRefused)
	case err != nil && spnego.ReportsError(token):
		return nil, false, fmt.Errorf("%w: %w", negotiate.TicketRefused, err)
	case err != nil:
		return nil, false, err
	case r.done && !r.mutual:
		return nil, false, fmt.Errorf("proxyauth: sspi: %w: Kerberos without mutual authentication", negotiate.NotVerified)
	case token != nil && !r.done:
		return nil, false, fmt.Errorf("proxyauth: sspi: %w: Kerberos wants another token", negotiate.NotVerified)
	}
	k.opened, k.verified = true, r.done
	return r.out, true, nil
}

// A chosen is a context of the package Negotiate. Its tokens are those of SPNEGO on
// Windows, and those of the mechanism that is chosen under Wine.
type chosen struct {
	*security
	mechanism string
	spnego    bool // the last token sent was one of SPNEGO
}

// Step implements [negotiate.Context].
func (c *chosen) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	token := in
	if in != nil {
		if token, err = spnego.Adapt(in, c.spnego); err != nil {
			return nil, false, tokenError(in, err)
		}
		if token == nil { // the proxy agrees, and proves nothing
			return nil, false, nil
		}
	}
	r, err := c.step(ctx, token)
	if err != nil {
		return nil, false, err
	}
	if len(r.out) > 0 {
		kind, inSPNEGO := spnego.KindOf(r.out)
		c.spnego = inSPNEGO
		switch {
		case kind == spnego.KindKerberos:
			c.mechanism = negotiate.MechanismKerberos
		case kind == spnego.KindNTLM, c.mechanism == "": // what is not known may be NTLM
			c.mechanism = negotiate.MechanismNTLM
		}
	}
	if r.done && !r.mutual && c.mechanism == negotiate.MechanismKerberos {
		return nil, false, fmt.Errorf("proxyauth: sspi: %w: Kerberos without mutual authentication", negotiate.NotVerified)
	}
	return r.out, r.done, nil
}

// Mechanism implements [negotiate.Context].
func (c *chosen) Mechanism() string { return c.mechanism }
