package ntlmssp

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// An avID says what an AV_PAIR holds (MS-NLMP, Section 2.2.2.1).
type avID uint16

const (
	avEOL             avID = 0
	avFlags           avID = 6
	avTimestamp       avID = 7
	avTargetName      avID = 9
	avChannelBindings avID = 10
)

const (
	// avFlagMIC is the bit of MsvAvFlags that says that the message has a MIC.
	avFlagMIC = 0x2
	// avFlagUnverifiedTarget is the one for an SPN from an untrusted source.
	avFlagUnverifiedTarget = 0x4

	// maxPairs bounds the AV_PAIRs of a challenge; eleven kinds are defined.
	maxPairs = 64

	avHeaderSize = 4
)

type avPair struct {
	id    avID
	value []byte
}

// A targetInfo is a sequence of AV_PAIRs without the MsvAvEOL that ends it, each
// of them there at most once.
type targetInfo []avPair

// parseTargetInfo parses AV_PAIRs up to MsvAvEOL; what may follow is ignored. The
// result refers to b. Of a pair that is repeated, the first counts. Without a byte there
// are no pairs.
func parseTargetInfo(b []byte) (targetInfo, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var info targetInfo
	for range maxPairs {
		if len(b) < avHeaderSize {
			return nil, malformed("target info has no end")
		}
		id := avID(binary.LittleEndian.Uint16(b))
		size := int(binary.LittleEndian.Uint16(b[2:]))
		b = b[avHeaderSize:]
		if id == avEOL && size == 0 {
			return info, nil
		}
		if err := checkPair(id, size, len(b)); err != nil {
			return nil, err
		}
		if _, twice := info.value(id); !twice {
			info = append(info, avPair{id, b[:size]})
		}
		b = b[size:]
	}
	return nil, malformed("target info has too many pairs")
}

// checkPair checks a pair with rest bytes for its value and all that follows.
func checkPair(id avID, size, rest int) error {
	switch {
	case size > rest:
		return malformed("pair of the target info out of bounds")
	case id == avEOL, id == avTimestamp && size != 8, id == avFlags && size != 4:
		return malformed("pair of the target info with a wrong length")
	}
	return nil
}

// value returns the value of the pair id, if there is one.
func (t targetInfo) value(id avID) ([]byte, bool) {
	i := slices.IndexFunc(t, func(p avPair) bool { return p.id == id })
	if i < 0 {
		return nil, false
	}
	return t[i].value, true
}

// answer returns the target info that goes into the client's response: the
// server's pairs, with the client's own in place of any that the server sent
// (MS-NLMP, Section 3.1.5.1.2).
func (t targetInfo) answer(mic bool, bindings, targetName []byte) targetInfo {
	out := slices.Clone(t)
	if f, ok := t.answerFlags(mic); ok {
		out = out.set(avFlags, binary.LittleEndian.AppendUint32(nil, f))
	}
	return out.set(avChannelBindings, bindings).set(avTargetName, targetName)
}

// answerFlags returns the client's MsvAvFlags: the server's, but for the bits
// that only a client can know. ok is false if none are needed.
func (t targetInfo) answerFlags(mic bool) (f uint32, ok bool) {
	server, ok := t.value(avFlags)
	if ok {
		f = binary.LittleEndian.Uint32(server)
	}
	f &^= avFlagMIC | avFlagUnverifiedTarget
	if mic {
		f |= avFlagMIC
	}
	return f, ok || mic
}

// set returns t with the one pair given at its end. It may change t.
func (t targetInfo) set(id avID, value []byte) targetInfo {
	t = slices.DeleteFunc(t, func(p avPair) bool { return p.id == id })
	return append(t, avPair{id, value})
}

// marshal returns the pairs in the form of the wire, MsvAvEOL last.
func (t targetInfo) marshal() []byte {
	var b bytes.Buffer
	for _, p := range append(slices.Clip(t), avPair{id: avEOL}) {
		b.Write(binary.LittleEndian.AppendUint16(nil, uint16(p.id)))
		b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(p.value))))
		b.Write(p.value)
	}
	return b.Bytes()
}
