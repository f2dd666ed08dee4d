package negotiate

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

var errNTLMOutOfTurn = errors.New("proxyauth: negotiate: NTLM message out of turn")

// An ntlmContext is NTLM as a mechanism.
type ntlmContext struct {
	client *ntlmssp.Client
	signer *ntlmssp.Signer
	opened bool
	proved bool // AUTHENTICATE_MESSAGE made
}

// newNTLM returns the context for an exchange. Session security is for the
// integrity code over the list of mechanisms.
func newNTLM(ex proxyauth.Exchange, spn string, binding []byte) (*ntlmContext, error) {
	client, err := ntlmssp.New(ntlmssp.Config{
		Credentials:    ex.Credentials,
		TargetName:     spn,
		ChannelBinding: binding,
		Sign:           true,
	})
	if err != nil {
		return nil, err
	}
	return &ntlmContext{client: client}, nil
}

// Init returns the NEGOTIATE_MESSAGE for a nil token, and the
// AUTHENTICATE_MESSAGE for a CHALLENGE_MESSAGE.
func (c *ntlmContext) Init(_ context.Context, token []byte) (out []byte, done bool, err error) {
	switch {
	case token == nil && !c.opened:
		c.opened = true
		return c.client.Negotiate(), false, nil
	case token == nil || !c.opened || c.proved:
		return nil, c.proved, errNTLMOutOfTurn
	}
	out, err = c.client.Authenticate(token)
	if err != nil {
		return nil, false, err
	}
	c.proved = true
	return out, true, nil
}

// sign returns the signer of the context, which has one for both directions.
func (c *ntlmContext) sign() (*ntlmssp.Signer, error) {
	var err error
	if c.signer == nil {
		c.signer, err = c.client.Signer()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", spnego.ErrUnprotected, err)
	}
	return c.signer, nil
}

// MIC returns the integrity code of the first message to the peer.
func (c *ntlmContext) MIC(message []byte) ([]byte, error) {
	signer, err := c.sign()
	if err != nil {
		return nil, err
	}
	return signer.Sign(message), nil
}

// VerifyMIC verifies the integrity code of the first message from the peer.
func (c *ntlmContext) VerifyMIC(message, mic []byte) error {
	signer, err := c.sign()
	if err != nil {
		return err
	}
	return signer.Verify(message, mic)
}
