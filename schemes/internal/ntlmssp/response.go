package ntlmssp

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM's password hash is MD4
)

// ntHash returns the NT hash of a password: NTOWFv1 (MS-NLMP, Section 3.3.1).
func ntHash(password string) []byte {
	h := md4.New()
	h.Write(utf16LE(password))
	return h.Sum(nil)
}

// responseKey returns NTOWFv2, the key of all responses, from the NT hash of the
// password (MS-NLMP, Section 3.3.2).
func responseKey(ntHash []byte, id identity) []byte {
	return hmacMD5(ntHash, utf16LE(upcase(id.user)), utf16LE(id.domain))
}

// A clientInput is what the client itself brings into its responses.
type clientInput struct {
	challenge [8]byte
	timestamp [8]byte
	info      targetInfo
}

// ntResponse returns the NTLMv2 response and the session base key (MS-NLMP,
// Section 3.3.2).
func ntResponse(key []byte, server [8]byte, in clientInput) (response, sessionKey []byte) {
	temp := in.marshal()
	proof := hmacMD5(key, server[:], temp)
	return slices.Concat(proof, temp), hmacMD5(key, proof)
}

// marshal returns temp of MS-NLMP, Section 3.3.2, an NTLMv2_CLIENT_CHALLENGE and
// four zeros.
func (in clientInput) marshal() []byte {
	const version, reserved = "\x01\x01\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00"
	return slices.Concat([]byte(version), in.timestamp[:], in.challenge[:],
		[]byte(reserved), in.info.marshal(), []byte(reserved))
}

// lmResponse returns the LMv2 response (MS-NLMP, Section 3.3.2).
func lmResponse(key []byte, server, client [8]byte) []byte {
	return append(hmacMD5(key, server[:], client[:]), client[:]...)
}

// fileTime returns t as a FILETIME: the number of tenths of a microsecond since
// 1601.
func fileTime(t time.Time) (ft [8]byte) {
	const unixEpoch = 116444736000000000
	binary.LittleEndian.PutUint64(ft[:], uint64(t.UnixNano()/100+unixEpoch))
	return ft
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(md5.New, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}
