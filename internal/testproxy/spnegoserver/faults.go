package spnegoserver

// Faults are ways in which an exchange goes otherwise than the client hopes. The
// zero value is none. Some are things that real proxies do.
type Faults struct {
	// Reject answers the first token with negState reject.
	Reject bool

	// SelectNTLM overlooks Kerberos: NTLM is selected if the client offers it,
	// and nothing otherwise.
	SelectNTLM bool

	// RawNTLM answers NTLM inside SPNEGO with a bare NTLM message, and expects
	// the next one bare as well.
	RawNTLM bool

	// RequestMIC wants a mechListMIC even where it may be left out.
	RequestMIC bool

	// PlainIncomplete says accept-incomplete where request-mic is meant. The
	// MIC is wanted all the same.
	PlainIncomplete bool

	// WrongMIC sends a mechListMIC with one bit changed, NoMIC none.
	WrongMIC, NoMIC bool

	// OmitNegState and OmitMech leave negState and supportedMech out of the
	// last answer, as real ones do.
	OmitNegState, OmitMech bool

	// Reply says what becomes of the AP-REP.
	Reply Reply

	// KRBError, if not zero, is the code of an error that a good AP-REQ is
	// refused by.
	KRBError int32

	// ExtraLegs is for how many more legs the server asks, with nothing to
	// say, after the client is accepted.
	ExtraLegs int

	// Garbage answers the first token with bytes that are not a token.
	Garbage bool
}

// A Reply says what becomes of the AP-REP, by which the proxy proves itself.
type Reply int

// What may become of the AP-REP.
const (
	// ReplyGood is as it should be.
	ReplyGood Reply = iota

	// ReplyWrongKey is encrypted with a key that is not the ticket's.
	ReplyWrongKey

	// ReplyWrongTime and ReplyWrongMicros repeat another time than the
	// authenticator's.
	ReplyWrongTime
	ReplyWrongMicros

	// ReplyCut lacks its last bytes.
	ReplyCut

	// ReplyGarbage is no Kerberos message.
	ReplyGarbage

	// ReplyError is a KRB-ERROR, though the client is accepted.
	ReplyError

	// ReplyBare is an AP-REP without SPNEGO around it.
	ReplyBare

	// ReplyMissing is a SPNEGO token without an AP-REP.
	ReplyMissing

	// ReplyNone is no token at all, as squid does.
	ReplyNone
)

// Always returns faults for [Server.Faults] that are the same for each context.
func Always(f Faults) func(int) Faults {
	return func(int) Faults { return f }
}

// First returns faults for the first n contexts; later ones have none.
func First(n int, f Faults) func(int) Faults {
	return func(context int) Faults {
		if context < n {
			return f
		}
		return Faults{}
	}
}
