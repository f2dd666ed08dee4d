package ntlmserver

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"fmt"
)

// Security signs and verifies messages of a session by NTLM's extended session
// security (MS-NLMP, Section 3.4.4.2), as SPNEGO needs it for mechListMIC. Each
// direction counts its messages. It is not safe for concurrent use.
type Security struct {
	send, receive *direction
}

// A direction is what one end signs with.
type direction struct {
	signKey []byte
	handle  *rc4.Cipher // nil without key exchange
	seq     uint32
}

const (
	signatureLen = 16
	checksumLen  = 8

	clientToServer = "client-to-server"
	serverToClient = "server-to-client"
)

// NewServerSecurity returns the server's end of a session with an exported
// session key and the flags of the AUTHENTICATE. The error wraps
// [ErrNoSessionSecurity].
func NewServerSecurity(key []byte, flags uint32) (*Security, error) {
	return newSecurity(key, flags, serverToClient, clientToServer)
}

// NewClientSecurity returns the client's end, as [NewServerSecurity] the
// server's.
func NewClientSecurity(key []byte, flags uint32) (*Security, error) {
	return newSecurity(key, flags, clientToServer, serverToClient)
}

func newSecurity(key []byte, flags uint32, send, receive string) (*Security, error) {
	if len(key) != 16 {
		return nil, fmt.Errorf("%w: session key of %d bytes", ErrNoSessionSecurity, len(key))
	}
	if flags&FlagExtendedSessionSecurity == 0 {
		return nil, fmt.Errorf("%w: not negotiated", ErrNoSessionSecurity)
	}
	return &Security{newDirection(key, flags, send), newDirection(key, flags, receive)}, nil
}

func newDirection(key []byte, flags uint32, name string) *direction {
	d := &direction{signKey: magicKey(key, name, "signing")}
	if flags&FlagKeyExchange != 0 {
		d.handle = newRC4(magicKey(weaken(key, flags), name, "sealing"))
	}
	return d
}

// magicKey is SIGNKEY and SEALKEY of MS-NLMP, Sections 3.4.5.2 and 3.4.5.3.
func magicKey(key []byte, direction, use string) []byte {
	magic := "session key to " + direction + " " + use + " key magic constant\x00"
	sum := md5.Sum(append(bytes.Clone(key), magic...))
	return sum[:]
}

// weaken cuts the key that seals to the strength that was negotiated.
func weaken(key []byte, flags uint32) []byte {
	switch {
	case flags&Flag128 != 0:
		return key
	case flags&Flag56 != 0:
		return key[:7]
	}
	return key[:5]
}

// Sign returns the signature of the next message in this end's direction.
func (s *Security) Sign(msg []byte) []byte {
	return s.send.next(msg)
}

// Verify examines the signature of the next message in the other direction. An
// error wraps [ErrSignature]; the message is counted all the same.
func (s *Security) Verify(msg, signature []byte) error {
	want := s.receive.next(msg)
	if len(signature) != signatureLen {
		return fmt.Errorf("%w: %d bytes", ErrSignature, len(signature))
	}
	if !hmac.Equal(want, signature) {
		return ErrSignature
	}
	return nil
}

// next makes an NTLMSSP_MESSAGE_SIGNATURE: a version, a checksum, the number.
func (d *direction) next(msg []byte) []byte {
	seq := le.AppendUint32(nil, d.seq)
	d.seq++
	checksum := hmacMD5(d.signKey, seq, msg)[:checksumLen]
	if d.handle != nil {
		d.handle.XORKeyStream(checksum, checksum)
	}
	return append(append([]byte{1, 0, 0, 0}, checksum...), seq...)
}
