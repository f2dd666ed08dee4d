package krb

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/spnego"
)

// OIDs are Kerberos 5 as a GSS-API mechanism, in DER without tag and length.
var OIDs = spnego.Kerberos

// The token identifiers of RFC 4121, Section 4.1.
const (
	tokenAPReq = 0x0100
	tokenAPRep = 0x0200
	tokenError = 0x0300
)

// The flags of the checksum (RFC 4121, Section 4.1.1.1). Delegation, 1, is never
// among those that are sent.
const (
	flagMutual    = 2
	flagIntegrity = 32
)

// checksumType is the authenticator's checksum of RFC 4121, Section 4.1.1.
const checksumType = 0x8003

// checksum returns the value of the authenticator's checksum.
func checksum(bindings [16]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(bindings)))
	b = append(b, bindings[:]...)
	return binary.LittleEndian.AppendUint32(b, flagMutual|flagIntegrity)
}

// frame puts the frame of RFC 2743, Section 3.1 around a message.
func frame(id uint16, message []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.Tag(0).Constructed()|0x40, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(OIDs[0]) })
		b.AddUint16(id)
		b.AddBytes(message)
	})
	return b.Bytes()
}

// unframe takes the frame off. A few acceptors send a message without one; then
// the message's own tag tells what it is.
func unframe(token []byte) (id uint16, message []byte, ok bool) {
	s := cryptobyte.String(token)
	if len(token) > 0 && token[0] == 0x6f { // [APPLICATION 15]
		return tokenAPRep, token, true
	}
	if len(token) > 0 && token[0] == 0x7e { // [APPLICATION 30]
		return tokenError, token, true
	}
	var inner, oid cryptobyte.String
	if !s.ReadASN1(&inner, cbasn1.Tag(0).Constructed()|0x40) || !s.Empty() {
		return 0, nil, false
	}
	if !inner.ReadASN1(&oid, cbasn1.OBJECT_IDENTIFIER) || !inner.ReadUint16(&id) {
		return 0, nil, false
	}
	return id, inner, bytes.Equal(oid, OIDs[0]) || bytes.Equal(oid, OIDs[1])
}
