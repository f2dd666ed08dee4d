package ntlmssp

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// SignatureSize is the size in bytes of an NTLMSSP_MESSAGE_SIGNATURE.
const SignatureSize = 16

// The constants of SIGNKEY (MS-NLMP, Section 3.4.5.2), each with a zero at its
// end.
const (
	clientSigningMagic = "session key to client-to-server signing key magic constant\x00"
	serverSigningMagic = "session key to server-to-client signing key magic constant\x00"
)

// Errors of a [Signer].
var (
	errNoSigning = errors.New("proxyauth: NTLM session security not agreed on")
	errSignature = errors.New("proxyauth: wrong NTLM signature")
)

// A Signer signs messages to the server and verifies those from it:
// GSS_GetMICEx and GSS_VerifyMICEx with extended session security (MS-NLMP,
// Section 3.4.4.2). Without key exchange, which is not offered, the checksum is
// sent in clear. It is not safe for concurrent use.
type Signer struct {
	out, in signingKey
}

// A signingKey signs in one direction.
type signingKey struct {
	key      [md5.Size]byte
	sequence uint32
}

// Signer returns a Signer for the messages that follow a completed exchange, the
// first of which has number 0. It is an error if the server has not agreed to
// session security; see [Config.Sign].
func (c *Client) Signer() (*Signer, error) {
	if c.sessionKey == nil || !c.agreed.has(flagSign|flagExtendedSession) {
		return nil, errNoSigning
	}
	return newSigner(c.sessionKey), nil
}

func newSigner(sessionKey []byte) *Signer {
	return &Signer{
		out: signingKey{key: signKey(sessionKey, clientSigningMagic)},
		in:  signingKey{key: signKey(sessionKey, serverSigningMagic)},
	}
}

func signKey(sessionKey []byte, magic string) [md5.Size]byte {
	h := md5.New()
	h.Write(sessionKey)
	io.WriteString(h, magic)
	return [md5.Size]byte(h.Sum(nil))
}

// Format writes "NTLM signer", whatever the verb: a Signer holds keys.
func (s *Signer) Format(f fmt.State, verb rune) { io.WriteString(f, "NTLM signer") }

// Sign returns the signature of the next message to the server.
func (s *Signer) Sign(message []byte) []byte { return s.out.sign(message) }

// Verify checks the signature of the next message from the server. A wrong one
// does not count.
func (s *Signer) Verify(message, signature []byte) error {
	next := s.in
	if !hmac.Equal(next.sign(message), signature) {
		return errSignature
	}
	s.in = next
	return nil
}

// sign returns the signature of the key's next message: version 1, checksum and
// sequence number.
func (k *signingKey) sign(message []byte) []byte {
	sequence := binary.LittleEndian.AppendUint32(nil, k.sequence)
	k.sequence++
	signature := make([]byte, 0, SignatureSize)
	signature = append(signature, 1, 0, 0, 0)
	signature = append(signature, hmacMD5(k.key[:], sequence, message)[:8]...)
	return append(signature, sequence...)
}
