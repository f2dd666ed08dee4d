package spnegoserver

import "slices"

// Seen is what a client has sent, as far as it was looked at, also by a client
// that was refused.
type Seen struct {
	// Tokens counts the tokens.
	Tokens int

	// Raw says that the client sent NTLM without SPNEGO.
	Raw bool

	// MechTypes are the mechanisms on offer, the preferred one first, dotted.
	// Optimistic says that there was a token for that one.
	MechTypes  []string
	Optimistic bool

	// Selected is the mechanism that the server chose, dotted.
	Selected string

	// Service is the ticket's, and Client the one it was issued to, without
	// and with the realm.
	Service, Client string

	// TicketEnctype, SessionEnctype and SubkeyEnctype are the types of the
	// service's key, of the session key and of the authenticator's subkey,
	// which is 0 if there was none.
	TicketEnctype, SessionEnctype, SubkeyEnctype int32

	// Flags are those of RFC 4121, Section 4.1.1.1. MutualOption is the
	// mutual-required option of the AP-REQ, which goes with the flag.
	Flags        Flags
	MutualOption bool

	// ChannelBinding says that the client sent one, BindingOK that it was the
	// connection's.
	ChannelBinding, BindingOK bool

	// MIC says that the client sent a mechListMIC that was right.
	MIC bool

	// Violations are things that a client should not do, though many a server
	// lets it pass.
	Violations []string
}

// Flags are the context flags of RFC 4121, Section 4.1.1.1.
type Flags uint32

// The flags.
const (
	FlagDelegate Flags = 1 << iota
	FlagMutual
	FlagReplay
	FlagSequence
	FlagConfidentiality
	FlagIntegrity
)

// Has reports whether all of the flags are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

func (s Seen) clone() Seen {
	s.MechTypes = slices.Clone(s.MechTypes)
	s.Violations = slices.Clone(s.Violations)
	return s
}

// violation notes a fixed text, which must not quote the client.
func (s *Seen) violation(what string) { s.Violations = append(s.Violations, what) }
