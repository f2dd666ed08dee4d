package ntlmserver

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
)

// A Context is one handshake on one connection. It takes one message at a time;
// its methods are safe for concurrent use.
type Context struct {
	srv     *Server
	binding []byte // application data of the channel, nil without one

	mu        sync.Mutex
	faults    Faults
	negotiate []byte
	challenge *challenge
	repeated  bool // the second challenge of ChallengeTwice is out
	over      bool

	seen     Seen
	user     string
	key      []byte
	security *Security
}

// NewContext returns a context for a connection. channelBinding is the
// application data of its channel binding, prefix and all: what
// [ServerEndPoint] returns for a TLS connection, nil for any other.
func (s *Server) NewContext(channelBinding []byte) *Context {
	return &Context{srv: s, binding: bytes.Clone(channelBinding)}
}

// Accept takes a message of the client. It returns
//
//   - out and done false: the challenge, to be sent;
//   - done true: the client is accepted, there is nothing more to send;
//   - an error, which wraps one of this package's: it is refused.
//
// After the last two the context is over.
func (c *Context) Accept(in []byte) (out []byte, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil, false, fmt.Errorf("%w: the handshake is over", ErrSequence)
	}
	out, err = c.step(bytes.Clone(in))
	c.over = out == nil
	return bytes.Clone(out), c.over && err == nil, err
}

// step returns nil and no error if the client is accepted.
func (c *Context) step(in []byte) ([]byte, error) {
	kind, err := messageType(in)
	switch {
	case err != nil:
		return nil, err
	case kind == typeNegotiate:
		return c.begin(in)
	case kind == typeAuthenticate:
		return c.finish(in)
	}
	return nil, fmt.Errorf("%w: type %d", ErrMessage, kind)
}

// begin takes a NEGOTIATE.
func (c *Context) begin(in []byte) ([]byte, error) {
	if c.challenge != nil {
		return nil, fmt.Errorf("%w: NEGOTIATE after the challenge", ErrSequence)
	}
	n, err := parseNegotiate(in)
	if err != nil {
		return nil, err
	}
	c.seen.NegotiateFlags, c.seen.MachineDomain, c.seen.MachineName = n.flags, n.domain, n.workstation
	if err := n.check(); err != nil {
		return nil, err
	}
	c.negotiate, c.faults = in, c.srv.beginHandshake()
	if c.faults.has(AcceptWithoutChallenge) {
		return nil, nil
	}
	return c.issue(), nil
}

func (c *Context) issue() []byte {
	c.challenge = c.srv.newChallenge(c.seen.NegotiateFlags, c.faults)
	c.seen.ChallengeFlags = c.challenge.flags
	return c.challenge.wire
}

// finish takes an AUTHENTICATE.
func (c *Context) finish(in []byte) ([]byte, error) {
	if c.challenge == nil || c.faults.has(Forget) {
		return nil, ErrNoChallenge
	}
	if c.faults.has(ChallengeTwice) && !c.repeated {
		c.repeated = true
		return c.issue(), nil
	}
	msg, err := parseAuthenticate(in)
	if err != nil {
		return nil, err
	}
	return nil, c.verify(msg)
}

func (c *Context) verify(msg *authenticate) error {
	a := &attempt{
		srv:       c.srv,
		negotiate: c.negotiate,
		challenge: c.challenge,
		binding:   c.binding,
		msg:       msg,
		seen:      &c.seen,
	}
	if err := a.verify(); err != nil {
		return err
	}
	c.user, c.key = a.account.key, a.exported
	return nil
}

// User returns the user that was accepted, in the spelling of [Server.Users], and
// "" before that.
func (c *Context) User() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// SessionKey returns the exported session key, nil before the client is
// accepted.
func (c *Context) SessionKey() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.key)
}

// Security returns the server's end of the session, always the same. The error
// wraps [ErrNoSessionSecurity].
func (c *Context) Security() (*Security, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.security != nil {
		return c.security, nil
	}
	security, err := NewServerSecurity(c.key, c.seen.AuthenticateFlags)
	c.security = security
	return security, err
}

// Seen returns what the client has sent up to now.
func (c *Context) Seen() Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	seen.AVPairs = slices.Clone(seen.AVPairs)
	return seen
}
