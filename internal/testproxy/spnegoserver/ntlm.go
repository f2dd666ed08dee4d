package spnegoserver

import "github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"

// NTLM is the accepting side of one NTLM handshake.
type NTLM interface {
	// Accept takes a message and returns the one to send back, or done.
	Accept(in []byte) (out []byte, done bool, err error)

	// User returns the user who was accepted.
	User() string

	// Sign and Verify make and check the signature of a message by the session
	// key. They are called once the handshake is done.
	Sign(message []byte) ([]byte, error)
	Verify(message, signature []byte) error
}

// NewNTLM returns what [Server.NTLM] wants, of an ntlmserver.Server.
func NewNTLM(srv *ntlmserver.Server) func(channelBinding []byte) NTLM {
	return func(channelBinding []byte) NTLM {
		return ntlmContext{srv.NewContext(channelBinding)}
	}
}

type ntlmContext struct{ *ntlmserver.Context }

func (c ntlmContext) Sign(message []byte) ([]byte, error) {
	security, err := c.Security()
	if err != nil {
		return nil, err
	}
	return security.Sign(message), nil
}

func (c ntlmContext) Verify(message, signature []byte) error {
	security, err := c.Security()
	if err != nil {
		return err
	}
	return security.Verify(message, signature)
}
