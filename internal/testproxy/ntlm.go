package testproxy

import (
	"cmp"
	"encoding/base64"
	"errors"
	"sync"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// NTLM is the NTLM scheme (MS-NTHT). It authenticates connections.
//
// What only a broken client sends is a violation: a message that answers another
// connection's challenge, or comes out of turn; a request between the two of a
// handshake; a message that breaks the rules of the Server; a second user on a
// connection, even if the first is forgotten. A wrong password is none.
type NTLM struct {
	// Server verifies the messages.
	Server *ntlmserver.Server

	// Requests is how many requests an authenticated connection is good for
	// before the proxy forgets it, that of the last message included. Zero
	// means without limit.
	Requests int

	mu         sync.Mutex
	generation int // counts Forget
}

// An ntlmConn is what is known of a connection.
type ntlmConn struct {
	handshake  *ntlmserver.Context // under way, or nil
	left       int                 // requests, if they are limited
	generation int
	user       string // the last one that was accepted
}

// Scheme returns "NTLM".
func (*NTLM) Scheme() string { return "NTLM" }

// Forget takes the authentication off all connections, upon their next request.
func (n *NTLM) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.generation++
}

func (n *NTLM) current() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.generation
}

func (n *NTLM) conn(c *Conn) *ntlmConn {
	s, _ := c.State(n).(*ntlmConn)
	if s == nil {
		s = new(ntlmConn)
		c.SetState(n, s)
	}
	return s
}

// Challenge returns a bare challenge.
func (n *NTLM) Challenge(c *Conn) []string {
	if s := n.conn(c); s.handshake != nil {
		s.handshake = nil
		c.violation("NTLM: a request between the messages of a handshake")
	}
	return []string{"NTLM"}
}

// Forgets reports whether c is authenticated no longer.
func (n *NTLM) Forgets(c *Conn) bool {
	s := n.conn(c)
	s.left--
	return n.Requests > 0 && s.left < 0 || s.generation != n.current()
}

// Verify hands a message to the server, one context a handshake.
func (n *NTLM) Verify(r *Request) Verdict {
	s := n.conn(r.Conn)
	in, err := base64.StdEncoding.DecodeString(r.Credentials)
	if err != nil {
		s.handshake = nil
		return Verdict{Violation: "NTLM message is not base64"}
	}
	if s.handshake == nil {
		var binding []byte
		if cert := r.Conn.Certificate(); cert != nil {
			binding = ntlmserver.ServerEndPoint(cert)
		}
		s.handshake = n.Server.NewContext(binding)
	}
	handshake := s.handshake
	out, done, err := handshake.Accept(in)
	switch {
	case err != nil:
		s.handshake = nil
		return Verdict{Violation: violationOf(err)}
	case done:
		v := AcceptConn(cmp.Or(handshake.User(), "nobody"))
		if s.user != "" && s.user != v.User {
			v.Violation = "a connection changes its identity"
		}
		*s = ntlmConn{left: n.Requests - 1, generation: n.current(), user: v.User}
		return v
	}
	return Continue("NTLM " + base64.StdEncoding.EncodeToString(out))
}

// violationOf returns what of err no client should do: anything but to have a
// wrong password.
func violationOf(err error) string {
	for _, innocent := range []error{ntlmserver.ErrWrongPassword, ntlmserver.ErrUnknownUser, ntlmserver.ErrLockedOut} {
		if errors.Is(err, innocent) {
			return ""
		}
	}
	return err.Error()
}
