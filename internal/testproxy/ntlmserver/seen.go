package ntlmserver

// Seen is what a client sent, as far as it could be read, also by a client that
// was refused.
type Seen struct {
	// NegotiateFlags and AuthenticateFlags are the client's, ChallengeFlags
	// the server's.
	NegotiateFlags, ChallengeFlags, AuthenticateFlags uint32

	// MachineDomain and MachineName are what the NEGOTIATE told of the client
	// machine.
	MachineDomain, MachineName string

	// Domain, User and Workstation are as sent in the AUTHENTICATE.
	Domain, User, Workstation string

	// AVPairs holds the identifiers of the response's AV pairs in order,
	// AVFlags the value of their MsvAvFlags.
	AVPairs []uint16
	AVFlags uint32

	// TargetName is the service principal name, empty if there is none.
	TargetName string

	// ServerTime reports whether the response's time is that of the challenge
	// (which a client should take, MS-NLMP, Section 3.1.5.1.2).
	ServerTime bool

	// MIC reports whether the message had room for a MIC and said that it is
	// there.
	MIC bool

	// ChannelBinding and LM are what was in the place of the channel binding
	// and of the LM response.
	ChannelBinding, LM Presence

	// KeyExchange reports whether the client sent a session key.
	KeyExchange bool
}

// A Presence tells absent from zero.
type Presence int

// What may be in a place.
const (
	Absent   Presence = iota
	AllZero           // all bytes are 0
	NotEmpty          // anything else
)

// String returns a word for p.
func (p Presence) String() string {
	switch p {
	case Absent:
		return "absent"
	case AllZero:
		return "zero"
	}
	return "present"
}

func presence(b []byte) Presence {
	switch {
	case len(b) == 0:
		return Absent
	case isZero(b):
		return AllZero
	}
	return NotEmpty
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
