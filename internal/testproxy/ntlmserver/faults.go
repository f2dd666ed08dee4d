package ntlmserver

import "bytes"

// Faults are ways in which a handshake goes wrong on purpose. They are bits
// and can be combined.
type Faults uint

const (
	// TruncatedChallenge cuts the challenge off in its fixed header.
	TruncatedChallenge Faults = 1 << iota

	// OversizedChallenge appends 128 KiB to the challenge.
	OversizedChallenge

	// OversizedTargetInfo fills the target info to the 65,535 bytes that its
	// length can say, so that a response that copies it overflows its own.
	OversizedTargetInfo

	// GarbageChallenge puts 0xFF for all behind the message's type.
	GarbageChallenge

	// WrongSignature breaks the challenge's signature.
	WrongSignature

	// WrongType gives the challenge the type of an AUTHENTICATE.
	WrongType

	// LyingTargetInfo makes the target info's offset point behind the message.
	LyingTargetInfo

	// BrokenTargetInfo makes the last AV pair longer than the target info.
	BrokenTargetInfo

	// NoTargetInfo leaves the target info and its flag out.
	NoTargetInfo

	// NoTimestamp leaves the timestamp out of the target info, so that a MIC
	// is not asked for.
	NoTimestamp

	// NTLMv1Only sends the flags of a server that knows no NTLMv2: LM key, no
	// extended session security, no target info.
	NTLMv1Only

	// OEMOnly offers OEM strings instead of Unicode.
	OEMOnly

	// ChallengeTwice answers the first AUTHENTICATE with a new challenge,
	// unseen. The second one is verified against it.
	ChallengeTwice

	// AcceptWithoutChallenge accepts a NEGOTIATE, in the name of nobody.
	AcceptWithoutChallenge

	// Forget loses the challenge that was sent, as a load balancer does that
	// sends the next leg to another server: the AUTHENTICATE gets
	// [ErrNoChallenge].
	Forget

	// EmptyTargetInfo leaves the target info out, and sets its flag all the same.
	EmptyTargetInfo

	// RepeatedPair sends the first AV pair twice. The answer may have it once or
	// twice.
	RepeatedPair

	// LargeTargetInfo adds 16 KiB to the target info.
	LargeTargetInfo
)

// Always returns a func for [Server.Faults] that gives f to each handshake.
func Always(f Faults) func(int) Faults {
	return func(int) Faults { return f }
}

// First returns a func for [Server.Faults] that gives f to the first n
// handshakes and none to the others.
func First(n int, f Faults) func(int) Faults {
	return func(handshake int) Faults {
		if handshake < n {
			return f
		}
		return 0
	}
}

func (f Faults) has(one Faults) bool { return f&one != 0 }

// flags changes the flags of a challenge.
func (f Faults) flags(flags uint32) uint32 {
	if f.has(NoTargetInfo | NTLMv1Only) {
		flags &^= FlagTargetInfo
	}
	if f.has(NTLMv1Only) {
		flags = flags&^FlagExtendedSessionSecurity | FlagLMKey
	}
	if f.has(OEMOnly) {
		flags = flags&^FlagUnicode | FlagOEM
	}
	return flags
}

const (
	truncatedLen    = 28
	oversizeLen     = 128 << 10
	maxTargetInfo   = 1<<16 - 1
	largeTargetInfo = 16 << 10
	fillerAVPair    = uint16(0x7ffe)
	avPairOverhead  = 4
)

// pairs changes the AV pairs of a challenge.
func (f Faults) pairs(pairs avPairs) avPairs {
	if f.has(NoTargetInfo | NTLMv1Only | EmptyTargetInfo) {
		return nil
	}
	if f.has(LargeTargetInfo) {
		pairs = append(pairs, avPair{fillerAVPair, bytes.Repeat([]byte{0x5a}, largeTargetInfo)})
	}
	if f.has(OversizedTargetInfo) {
		n := maxTargetInfo - len(pairs.marshal()) - avPairOverhead
		pairs = append(pairs, avPair{fillerAVPair, bytes.Repeat([]byte{0x5a}, n)})
	}
	return pairs
}

// repeated returns what stands before the AV pairs: the first of them, if it is to be
// repeated.
func (f Faults) repeated(pairs avPairs) []byte {
	if !f.has(RepeatedPair) || len(pairs) == 0 {
		return nil
	}
	first := pairs[:1].marshal()
	return first[:len(first)-avPairOverhead]
}

// message changes a finished challenge.
func (f Faults) message(msg []byte, targetInfoAt int) []byte {
	if f.has(BrokenTargetInfo) && targetInfoAt+avPairOverhead <= len(msg) {
		le.PutUint16(msg[len(msg)-avPairOverhead+2:], 0xfff0)
		le.PutUint16(msg[len(msg)-avPairOverhead:], AVDNSTreeName)
	}
	if f.has(LyingTargetInfo) {
		le.PutUint32(msg[44:], uint32(len(msg)))
	}
	if f.has(GarbageChallenge) {
		copy(msg[12:], bytes.Repeat([]byte{0xff}, len(msg)))
	}
	if f.has(WrongSignature) {
		msg[6] ^= 1
	}
	if f.has(WrongType) {
		msg[8] = typeAuthenticate
	}
	if f.has(OversizedChallenge) {
		msg = append(msg, make([]byte, oversizeLen)...)
	}
	if f.has(TruncatedChallenge) {
		msg = msg[:truncatedLen]
	}
	return msg
}
