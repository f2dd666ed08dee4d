package spnegoserver

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/keytab"
)

// A Server is what the contexts have in common. Its fields must not be changed
// after the first use; it is then safe for concurrent use, and so must be its
// funcs.
type Server struct {
	// Keytab is a keytab file with the keys of the service. Nil means that
	// Kerberos is not accepted.
	Keytab []byte

	// Service is the principal that tickets must be for, such as
	// "HTTP/proxy.example.com". Empty means any that there is a key for.
	Service string

	// NTLM begins an NTLM handshake on a connection with the given channel
	// binding. Nil means that NTLM is not accepted, neither inside SPNEGO nor
	// without it. See [NewNTLM].
	NTLM func(channelBinding []byte) NTLM

	// RequireCB refuses a token without the channel binding of its connection
	// with [ErrNoBinding]. Without it, only a wrong one is refused. For NTLM,
	// NTLM itself decides.
	RequireCB bool

	// NoSubkey leaves the acceptor's subkey out of the AP-REP.
	NoSubkey bool

	// MaxSkew is how far the client's clock may be off. Zero means 5 minutes.
	MaxSkew time.Duration

	// Now is the server's clock. Nil means time.Now.
	Now func() time.Time

	// Faults returns the faults of a context. Contexts are counted from 0. Nil
	// means none. See [Always] and [First].
	Faults func(context int) Faults

	load     sync.Once
	keys     *keytab.Keytab
	keysErr  error
	mu       sync.Mutex
	contexts []*Context
	count    int
	replays  map[replayKey]time.Time
}

// A replayKey tells authenticators for a service apart (RFC 4120, Section 3.2.3).
type replayKey struct {
	client string
	sent   int64 // in microseconds
}

const (
	defaultSkew = 5 * time.Minute

	// maxContexts bounds what [Server.Contexts] remembers.
	maxContexts = 10_000

	// maxReplays bounds the replay cache. Beyond it tokens are refused, since
	// they can't be told from old ones.
	maxReplays = 100_000
)

// NewContext returns a context for a connection. channelBinding is the
// application data of the connection's binding, with its prefix
// "tls-server-end-point:", as ntlmserver.ServerEndPoint returns it. It is nil
// for a connection without TLS.
func (s *Server) NewContext(channelBinding []byte) *Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Context{srv: s, binding: bytes.Clone(channelBinding)}
	if s.Faults != nil {
		c.faults = s.Faults(s.count)
	}
	s.count++
	if len(s.contexts) < maxContexts {
		s.contexts = append(s.contexts, c)
	}
	return c
}

// Contexts returns the contexts in the order of their making, up to the first
// 10,000.
func (s *Server) Contexts() []*Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.contexts)
}

// Violations returns those of all contexts.
func (s *Server) Violations() []string {
	var all []string
	for _, c := range s.Contexts() {
		all = append(all, c.Seen().Violations...)
	}
	return all
}

func (s *Server) skew() time.Duration { return cmp.Or(s.MaxSkew, defaultSkew) }

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// table returns the keytab, parsed.
func (s *Server) table() (*keytab.Keytab, error) {
	s.load.Do(func() {
		defer func() {
			if recover() != nil {
				s.keysErr = ErrKeytab
			}
		}()
		s.keys = keytab.New()
		if s.keys.Unmarshal(s.Keytab) != nil { // an error that quotes keys
			s.keysErr = ErrKeytab
		}
	})
	return s.keys, s.keysErr
}

// fresh remembers an authenticator for as long as its time is accepted, and
// refuses it if it is known.
func (s *Server) fresh(client string, sent, now time.Time) error {
	key := replayKey{client, sent.UnixMicro()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replays == nil {
		s.replays = make(map[replayKey]time.Time)
	}
	if _, known := s.replays[key]; known {
		return ErrReplay
	}
	if len(s.replays) >= maxReplays {
		s.forget(now)
	}
	if len(s.replays) >= maxReplays {
		return fmt.Errorf("%w: the replay cache is full", ErrReplay)
	}
	s.replays[key] = now.Add(2 * s.skew())
	return nil
}

func (s *Server) forget(now time.Time) {
	for key, until := range s.replays {
		if now.After(until) {
			delete(s.replays, key)
		}
	}
}
