package ntlmssp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-proxyauth/proxyauth"
)

const (
	// MaxChallengeSize is the size in bytes of the longest CHALLENGE_MESSAGE
	// that is looked at. Those of real servers have a few hundred; the limit
	// keeps the answer, which repeats the target info, to what fits into a
	// header field.
	MaxChallengeSize = 24 << 10

	signature = "NTLMSSP\x00"

	// Where the fields of a CHALLENGE_MESSAGE are (MS-NLMP, Section 2.2.1.2).
	typeAt            = 8
	targetNameAt      = 12
	challengeFlagsAt  = 20
	serverChallengeAt = 24
	targetInfoAt      = 40

	// challengeHeaderSize leaves out the Version, which is of no use here and
	// may be missing.
	challengeHeaderSize = 48

	challengeType    = 2
	authenticateType = 3
)

var errMalformed = errors.New("proxyauth: malformed NTLM challenge message")

func malformed(why string) error { return fmt.Errorf("%w: %s", errMalformed, why) }

func unsupported(why string) error {
	return fmt.Errorf("%w: NTLM challenge message %s", proxyauth.ErrUnsupportedChallenge, why)
}

// A challengeMessage is what an answer needs of a CHALLENGE_MESSAGE.
type challengeMessage struct {
	flags           flags
	serverChallenge [8]byte
	targetInfo      []byte // empty if the server sends none, which NTLMv2 does without
}

// parseChallenge parses and validates a CHALLENGE_MESSAGE. The result refers to
// b.
func parseChallenge(b []byte) (challengeMessage, error) {
	var m challengeMessage
	if err := checkChallengeHeader(b); err != nil {
		return m, err
	}
	m.flags = flags(binary.LittleEndian.Uint32(b[challengeFlagsAt:]))
	m.serverChallenge = [8]byte(b[serverChallengeAt:])
	if !m.flags.has(flagUnicode) {
		return m, unsupported("does not allow Unicode")
	}
	info, err := challengePayload(b)
	if err != nil {
		return m, err
	}
	if m.flags.has(flagTargetInfo) {
		m.targetInfo = b[info.start:info.end]
	}
	if len(m.targetInfo) == 0 && !m.flags.has(flagExtendedSession) {
		return m, unsupported("has no target info, and is of a server before NTLMv2")
	}
	return m, nil
}

func checkChallengeHeader(b []byte) error {
	switch {
	case len(b) > MaxChallengeSize:
		return malformed("too long")
	case len(b) < challengeHeaderSize:
		return malformed("too short")
	case string(b[:len(signature)]) != signature:
		return malformed("no NTLMSSP signature")
	case binary.LittleEndian.Uint32(b[typeAt:]) != challengeType:
		return malformed("not of type 2")
	}
	return nil
}

// challengePayload returns where the target info of a CHALLENGE_MESSAGE is, once
// it is sure that the fields are in the message and apart.
func challengePayload(b []byte) (info span, err error) {
	name, ok := field(b, targetNameAt)
	if !ok {
		return info, malformed("target name out of bounds")
	}
	info, ok = field(b, targetInfoAt)
	if !ok {
		return info, malformed("target info out of bounds")
	}
	if name.overlaps(info) {
		return info, malformed("target name and target info overlap")
	}
	return info, nil
}

// A span is a part of a message's payload.
type span struct{ start, end uint64 }

func (s span) size() uint64 { return s.end - s.start }

func (s span) overlaps(other span) bool {
	return s.size() > 0 && other.size() > 0 && s.start < other.end && other.start < s.end
}

// field returns what the field at b[at:] describes: length, maximum length,
// which is to be ignored, and offset. It must lie behind the header. The offset
// of an empty field means nothing.
func field(b []byte, at int) (span, bool) {
	size := uint64(binary.LittleEndian.Uint16(b[at:]))
	if size == 0 {
		return span{}, true
	}
	start := uint64(binary.LittleEndian.Uint32(b[at+4:]))
	s := span{start, start + size}
	return s, s.start >= challengeHeaderSize && s.end <= uint64(len(b))
}
