package spnegoserver

import (
	"bytes"
	"sync"
)

const (
	// maxToken is the longest token that is looked at.
	maxToken = 64 << 10

	// maxTokens is how many tokens one exchange may take.
	maxTokens = 16
)

// A Context is one exchange on one connection. It takes one token at a time; its
// methods are safe for concurrent use.
type Context struct {
	srv     *Server
	binding []byte
	faults  Faults

	mu       sync.Mutex
	seen     Seen
	next     func([]byte) ([]byte, bool, error) // nil before the first token
	over     bool
	accepted bool

	init      *negTokenInit
	mech      []byte // the selected one
	mechanism func(token, mic []byte) ([]byte, bool, error)
	micWanted bool
	replied   bool // the first answer is out, which names the mechanism
	extraLegs int

	ntlm NTLM
	krb  *krbSession
	user string
}

// Accept takes a token of the client, as it is without base64. It returns
//
//   - out and done false: a token to be sent, upon which the client goes on;
//   - done true: the client is accepted. out, if not nil, is sent with the
//     answer to its request;
//   - an error, which wraps one of this package's: the client is refused. out,
//     if not nil, tells it why.
//
// After the last two the context is over.
func (c *Context) Accept(in []byte) (out []byte, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.seen.Tokens == maxTokens {
		return nil, false, ErrSequence
	}
	defer func() {
		if recover() != nil { // gokrb5 trusts lengths
			out, done, err = nil, false, malformed("beyond what the parser takes")
		}
		c.over = done || err != nil
		c.accepted = done && err == nil
	}()
	c.seen.Tokens++
	return c.take(bytes.Clone(in))
}

func (c *Context) take(in []byte) ([]byte, bool, error) {
	switch {
	case len(in) > maxToken:
		return nil, false, malformed("%d bytes", len(in))
	case c.next != nil:
		return c.next(in)
	case bytes.HasPrefix(in, []byte("NTLMSSP\x00")):
		return c.beginRawNTLM(in)
	case isRawKerberos(in):
		return nil, false, ErrRawKerberos
	}
	return c.begin(in)
}

func isRawKerberos(in []byte) bool {
	for _, oid := range [][]byte{oidKrb5, oidMSKrb5} {
		if _, err := framed(oid, in); err == nil {
			return true
		}
	}
	return false
}

// User returns the user who was accepted, and "" before that: a principal with
// its realm, or what NTLM says.
func (c *Context) User() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.accepted {
		return ""
	}
	return c.user
}

// Seen returns what the client has sent up to now.
func (c *Context) Seen() Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.clone()
}
