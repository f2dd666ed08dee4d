package ntlmserver

import "fmt"

// Identifiers of AV pairs (MS-NLMP, Section 2.2.2.1).
const (
	AVEOL             uint16 = 0
	AVComputerName    uint16 = 1
	AVDomainName      uint16 = 2
	AVDNSComputerName uint16 = 3
	AVDNSDomainName   uint16 = 4
	AVDNSTreeName     uint16 = 5
	AVFlags           uint16 = 6
	AVTimestamp       uint16 = 7
	AVSingleHost      uint16 = 8
	AVTargetName      uint16 = 9
	AVChannelBindings uint16 = 10
)

// AVFlagMIC is the bit in [AVFlags] that says that the message has a MIC.
const AVFlagMIC uint32 = 2

// maxAVPairs bounds the pairs of one list; there are ten kinds.
const maxAVPairs = 32

type avPair struct {
	id    uint16
	value []byte
}

type avPairs []avPair

// parseAVPairs reads pairs up to and with the closing one and returns what
// follows it.
func parseAVPairs(b []byte) (pairs avPairs, rest []byte, err error) {
	for range maxAVPairs {
		if len(b) < 4 {
			return nil, nil, fmt.Errorf("%w: the list has no end", ErrTargetInfo)
		}
		id, n := le.Uint16(b), int(le.Uint16(b[2:]))
		b = b[4:]
		switch {
		case id == AVEOL && n == 0:
			return pairs, b, nil
		case id == AVEOL, n > len(b):
			return nil, nil, fmt.Errorf("%w: AV pair %d of %d bytes", ErrTargetInfo, id, n)
		case pairs.repeats(id, b[:n]):
			b = b[n:]
			continue
		case pairs.has(id):
			return nil, nil, fmt.Errorf("%w: AV pair %d twice", ErrTargetInfo, id)
		}
		pairs = append(pairs, avPair{id, b[:n]})
		b = b[n:]
	}
	return nil, nil, fmt.Errorf("%w: more than %d AV pairs", ErrTargetInfo, maxAVPairs)
}

// marshal returns the pairs and the one that closes the list.
func (p avPairs) marshal() []byte {
	var b []byte
	for _, pair := range p {
		b = le.AppendUint16(b, pair.id)
		b = le.AppendUint16(b, uint16(len(pair.value)))
		b = append(b, pair.value...)
	}
	return append(b, 0, 0, 0, 0)
}

func (p avPairs) get(id uint16) (value []byte, ok bool) {
	for _, pair := range p {
		if pair.id == id {
			return pair.value, true
		}
	}
	return nil, false
}

// repeats reports whether there is such a pair already, which does no harm.
func (p avPairs) repeats(id uint16, value []byte) bool {
	v, ok := p.get(id)
	return ok && string(v) == string(value)
}

func (p avPairs) has(id uint16) bool {
	_, ok := p.get(id)
	return ok
}

// flags returns the value of AVFlags, 0 if there is none or it is malformed.
func (p avPairs) flags() uint32 {
	if v, _ := p.get(AVFlags); len(v) == 4 {
		return le.Uint32(v)
	}
	return 0
}

// copied returns the pairs that a client may only copy, without the ones that
// it adds or changes (MS-NLMP, Section 3.1.5.1.2).
func (p avPairs) copied() avPairs {
	var kept avPairs
	for _, pair := range p {
		switch pair.id {
		case AVFlags, AVSingleHost, AVTargetName, AVChannelBindings:
		default:
			kept = append(kept, pair)
		}
	}
	return kept
}

func (p avPairs) ids() []uint16 {
	ids := make([]uint16, len(p))
	for i, pair := range p {
		ids[i] = pair.id
	}
	return ids
}
