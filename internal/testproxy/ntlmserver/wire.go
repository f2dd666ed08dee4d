package ntlmserver

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf16"
)

const (
	signature = "NTLMSSP\x00"

	typeNegotiate    = 1
	typeChallenge    = 2
	typeAuthenticate = 3

	// maxMessageLen bounds what is parsed at all. The fields' lengths have 16
	// bits, and no honest client comes near.
	maxMessageLen = 1 << 16
)

var le = binary.LittleEndian

// messageType returns the type of msg after a look at its first 12 bytes.
func messageType(msg []byte) (uint32, error) {
	switch {
	case len(msg) > maxMessageLen:
		return 0, fmt.Errorf("%w: %d bytes", ErrTooLong, len(msg))
	case len(msg) < 12:
		return 0, fmt.Errorf("%w: %d bytes", ErrMessage, len(msg))
	case string(msg[:8]) != signature:
		return 0, fmt.Errorf("%w: no signature", ErrMessage)
	}
	return le.Uint32(msg[8:]), nil
}

// A payload takes fields out of a message. Its first error sticks.
type payload struct {
	msg   []byte
	start int // where the fixed header ends
	used  []span
	err   error
}

type span struct{ from, to int }

// field returns what the length and offset at header point to. An empty field
// may have any offset.
func (p *payload) field(header int) []byte {
	length, offset := int(le.Uint16(p.msg[header:])), int64(le.Uint32(p.msg[header+4:]))
	if length == 0 {
		return nil
	}
	if offset < int64(p.start) || offset+int64(length) > int64(len(p.msg)) {
		p.fail(fmt.Errorf("%w: %d bytes at %d, payload is %d to %d", ErrField, length, offset, p.start, len(p.msg)))
		return nil
	}
	s := span{int(offset), int(offset) + length}
	p.used = append(p.used, s)
	return p.msg[s.from:s.to]
}

// text returns a field that holds UTF-16.
func (p *payload) text(header int) string {
	text, err := decodeUTF16(p.field(header))
	p.fail(err)
	return text
}

func (p *payload) fail(err error) {
	p.err = cmp.Or(p.err, err)
}

// begin returns where the first field begins, the end of the message if there
// is none, and an error if two fields overlap.
func (p *payload) begin() (int, error) {
	slices.SortFunc(p.used, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(p.used); i++ {
		if p.used[i].from < p.used[i-1].to {
			return 0, fmt.Errorf("%w: two fields overlap at %d", ErrField, p.used[i].from)
		}
	}
	if len(p.used) == 0 {
		return len(p.msg), nil
	}
	return p.used[0].from, nil
}

func decodeUTF16(b []byte) (string, error) {
	if len(b)%2 != 0 {
		return "", fmt.Errorf("%w: text of %d bytes is not UTF-16", ErrMessage, len(b))
	}
	units := toUnits(b)
	text := string(utf16.Decode(units))
	if !slices.Equal(utf16.Encode([]rune(text)), units) {
		return "", fmt.Errorf("%w: text with half a surrogate pair", ErrMessage)
	}
	return text, nil
}

func encodeUTF16(text string) []byte {
	return fromUnits(utf16.Encode([]rune(text)))
}

func toUnits(b []byte) []uint16 {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = le.Uint16(b[2*i:])
	}
	return units
}

func fromUnits(units []uint16) []byte {
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = le.AppendUint16(b, u)
	}
	return b
}
