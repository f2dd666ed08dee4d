package ntlmserver

import (
	"cmp"
	"crypto/rand"
	"slices"
	"sync"
	"time"
)

// A Server is what the contexts have in common: the users and the policy. Its
// fields must not be changed after the first use; it is then safe for concurrent
// use, and so must be its funcs.
type Server struct {
	// Users holds the passwords by user name, either `DOMAIN\user` or only
	// user, who is then of Domain. Case does not count.
	Users map[string]string

	// Domain and Computer are the server's NetBIOS names. They default to
	// "CORP" and "PROXY".
	Domain, Computer string

	// DNSDomain, DNSComputer and DNSTree are sent if they are not empty. A
	// client may name Domain by DNSDomain as well.
	DNSDomain, DNSComputer, DNSTree string

	// AVFlags is the MsvAvFlags pair of the challenge, in which a client has to
	// leave every bit. The pair is not sent if it is 0.
	AVFlags uint32

	// RequireMIC refuses a message without MIC with [ErrMICMissing], unless the
	// challenge was without a timestamp, which is what asks for the MIC.
	RequireMIC bool

	// RequireEPA refuses a message without the channel binding of the context
	// with [ErrChannelBindingMissing], and so everything on a context that has
	// none.
	RequireEPA bool

	// CheckTargetName reports whether the service principal name in the
	// message is right; it is empty if there is none. A nil func likes any.
	CheckTargetName func(spn string) bool

	// LockoutAfter is the number of wrong passwords in succession that locks a
	// user out for good. Zero means never.
	LockoutAfter int

	// Skew is how far the client's clock may be off. It defaults to 5 minutes.
	Skew time.Duration

	// Now is the server's clock, time.Now if it is nil.
	Now func() time.Time

	// NewChallenge makes the 8 bytes of a challenge. If it is nil, they are
	// random.
	NewChallenge func() [8]byte

	// Faults returns the faults of a handshake, which are counted from 0 in
	// the order of their NEGOTIATE messages. A nil func means none. See
	// [Always] and [First].
	Faults func(handshake int) Faults

	mu         sync.Mutex
	handshakes int
	records    map[string]*record
	issued     [maxIssued][8]byte
	issuedNext int
}

const (
	defaultDomain   = "CORP"
	defaultComputer = "PROXY"
	defaultSkew     = 5 * time.Minute

	// maxIssued bounds the challenges that are remembered, to tell an answer
	// to another one from a wrong password.
	maxIssued = 256
)

func (s *Server) domain() string      { return cmp.Or(s.Domain, defaultDomain) }
func (s *Server) computer() string    { return cmp.Or(s.Computer, defaultComputer) }
func (s *Server) skew() time.Duration { return cmp.Or(s.Skew, defaultSkew) }

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Handshakes returns the number of NEGOTIATE messages that were accepted.
func (s *Server) Handshakes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handshakes
}

// beginHandshake counts a handshake and returns its faults.
func (s *Server) beginHandshake() Faults {
	s.mu.Lock()
	n := s.handshakes
	s.handshakes++
	s.mu.Unlock()
	if s.Faults == nil {
		return 0
	}
	return s.Faults(n)
}

// nonce makes a challenge and remembers it.
func (s *Server) nonce() (nonce [8]byte) {
	if s.NewChallenge != nil {
		nonce = s.NewChallenge()
	} else {
		rand.Read(nonce[:])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued[s.issuedNext%maxIssued] = nonce
	s.issuedNext++
	return nonce
}

// answersOther reports whether proof is right for a challenge that was issued
// lately.
func (s *Server) answersOther(key, proof, blob []byte) bool {
	s.mu.Lock()
	nonces := slices.Clone(s.issued[:min(s.issuedNext, maxIssued)])
	s.mu.Unlock()
	for _, nonce := range nonces {
		if equal(ntProof(key, nonce, blob), proof) {
			return true
		}
	}
	return false
}
