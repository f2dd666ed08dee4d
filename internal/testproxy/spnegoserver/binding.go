package spnegoserver

import (
	"crypto/md5"
	"encoding/binary"
)

var little = binary.LittleEndian

const bindingSize = md5.Size

// bindingHash returns the hash of a channel binding with no addresses (RFC 4121,
// Section 4.1.1.2): four zeros stand for their types and lengths.
func bindingHash(applicationData []byte) []byte {
	b := make([]byte, 4*4)
	b = little.AppendUint32(b, uint32(len(applicationData)))
	sum := md5.Sum(append(b, applicationData...))
	return sum[:]
}
