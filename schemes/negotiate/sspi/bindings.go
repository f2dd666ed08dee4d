package sspi

import "encoding/binary"

// bindingsBuffer returns a SEC_CHANNEL_BINDINGS structure with application data alone, nil
// for none: eight numbers, then the data.
func bindingsBuffer(application []byte) []byte {
	if application == nil {
		return nil
	}
	const size = 8 * 4
	b := make([]byte, size, size+len(application))
	binary.LittleEndian.PutUint32(b[6*4:], uint32(len(application))) // cbApplicationDataLength
	binary.LittleEndian.PutUint32(b[7*4:], size)                     // dwApplicationDataOffset
	return append(b, application...)
}
