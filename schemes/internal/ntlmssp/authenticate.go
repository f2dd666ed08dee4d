package ntlmssp

import "encoding/binary"

const (
	// Where the fields of an AUTHENTICATE_MESSAGE are (MS-NLMP, Section
	// 2.2.1.3). Version and MIC are there even if the flags deny them, as
	// servers look for the MIC in its place.
	authenticateFlagsAt    = 60
	micAt                  = 72
	authenticateHeaderSize = 88
)

// version is the one of the NEGOTIATE_MESSAGE: Windows 7, NTLMSSP_REVISION_W2K3.
var version = [8]byte{6, 1, 0xb1, 0x1d, 0, 0, 0, 15}

// An authenticateMessage is an AUTHENTICATE_MESSAGE without session key and MIC.
type authenticateMessage struct {
	lmResponse  []byte
	ntResponse  []byte
	domain      string
	user        string
	workstation string
	flags       flags
}

// marshal returns m in the form of the wire, its MIC zero.
func (m *authenticateMessage) marshal() []byte {
	b := make([]byte, authenticateHeaderSize)
	copy(b, signature)
	binary.LittleEndian.PutUint32(b[typeAt:], authenticateType)
	binary.LittleEndian.PutUint32(b[authenticateFlagsAt:], uint32(m.flags))
	if m.flags.has(flagVersion) {
		copy(b[authenticateFlagsAt+4:], version[:])
	}
	// The order of the payload is that of Windows.
	b = appendField(b, 28, utf16LE(m.domain))
	b = appendField(b, 36, utf16LE(m.user))
	b = appendField(b, 44, utf16LE(m.workstation))
	b = appendField(b, 12, m.lmResponse)
	b = appendField(b, 20, m.ntResponse)
	return appendField(b, 52, nil) // EncryptedRandomSessionKey
}

// appendField appends value and describes it in the field at b[at:]. Values are
// short: maxName and MaxChallengeSize see to that.
func appendField(b []byte, at int, value []byte) []byte {
	binary.LittleEndian.PutUint16(b[at:], uint16(len(value)))
	binary.LittleEndian.PutUint16(b[at+2:], uint16(len(value)))
	binary.LittleEndian.PutUint32(b[at+4:], uint32(len(b)))
	return append(b, value...)
}
