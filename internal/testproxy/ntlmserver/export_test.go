package ntlmserver

// MD4 is for the tests' own client.
var MD4 = md4

// Seal encrypts as GSS_Wrap does before it signs, so that MS-NLMP's signature
// of a sealed message can be made.
func (s *Security) Seal(msg []byte) []byte {
	out := make([]byte, len(msg))
	s.send.handle.XORKeyStream(out, msg)
	return out
}
