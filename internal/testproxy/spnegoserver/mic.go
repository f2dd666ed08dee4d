package spnegoserver

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/types"
)

const (
	micHeader        = 16
	micByAcceptor    = 1
	micAcceptorKey   = 4
	usageAcceptorMIC = 23
	usageClientMIC   = 25
	rc4              = 23
)

// key returns the key of messages and the flag that goes with it: the last
// subkey that was asserted (RFC 4121, Section 2).
func (s *krbSession) key() (types.EncryptionKey, byte) {
	switch {
	case s.acceptor.KeyValue != nil:
		return s.acceptor, micAcceptorKey
	case s.initiator.KeyValue != nil:
		return s.initiator, 0
	}
	return s.session, 0
}

// Sign returns the MIC of a message by the acceptor (RFC 4121, Section 4.2.6.1).
func (s *krbSession) Sign(message []byte) ([]byte, error) {
	key, flag := s.key()
	header := []byte{4, 4, micByAcceptor | flag, 0xff, 0xff, 0xff, 0xff, 0xff}
	header = binary.BigEndian.AppendUint64(header, uint64(s.seq))
	s.seq++
	sum, err := checksum(key, message, header, usageAcceptorMIC)
	return append(header, sum...), err
}

// Verify examines the MIC of a message by the client. The sequence number is not
// looked at: a client has sent nothing before.
func (s *krbSession) Verify(message, mic []byte) error {
	key, flag := s.key()
	want := []byte{4, 4, flag, 0xff, 0xff, 0xff, 0xff, 0xff}
	if len(mic) < micHeader || !bytes.HasPrefix(mic, want) {
		return ErrMIC
	}
	sum, err := checksum(key, message, mic[:micHeader], usageClientMIC)
	if err != nil {
		return err
	}
	if !hmac.Equal(sum, mic[micHeader:]) {
		return ErrMIC
	}
	return nil
}

// checksum is not for RC4, whose MICs have the shape of RFC 4757, Section 7.2.
func checksum(key types.EncryptionKey, message, header []byte, usage uint32) ([]byte, error) {
	if key.KeyType == rc4 {
		return nil, ErrMICUnsupported
	}
	e, err := crypto.GetEtype(key.KeyType)
	if err != nil {
		return nil, ErrMICUnsupported
	}
	return e.GetChecksumHash(key.KeyValue, append(bytes.Clone(message), header...), usage)
}
