package ntlmserver

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"unicode"
)

// ntowfv2 is NTOWFv2 of MS-NLMP, Section 3.3.2. The domain enters as sent.
func ntowfv2(password, user, domain string) []byte {
	return hmacMD5(md4(encodeUTF16(password)), upperUTF16(user), encodeUTF16(domain))
}

// upperUTF16 returns text in upper case. It goes by UTF-16 unit, since that is
// what Windows' table is over: characters beyond the BMP stay as they are.
func upperUTF16(text string) []byte {
	units := toUnits(encodeUTF16(text))
	for i, u := range units {
		if r := unicode.ToUpper(rune(u)); r <= 0xffff {
			units[i] = uint16(r)
		}
	}
	return fromUnits(units)
}

// ntProof is NTProofStr: the proof of the password over the server's and the
// client's challenge.
func ntProof(key []byte, nonce [8]byte, blob []byte) []byte {
	return hmacMD5(key, nonce[:], blob)
}

// lmv2 is the LMv2 response.
func lmv2(key []byte, nonce [8]byte, clientChallenge []byte) []byte {
	return append(hmacMD5(key, nonce[:], clientChallenge), clientChallenge...)
}

// messageMIC is the MIC over the three messages, the last of which enters with
// zeros in its place (MS-NLMP, Section 3.1.5.1.2).
func messageMIC(key, negotiate, challenge, authenticate []byte) []byte {
	before, after := authenticate[:micAt], authenticate[micAt+micLen:]
	return hmacMD5(key, negotiate, challenge, before, make([]byte, micLen), after)
}

// channelBindingHash is the value of MsvAvChannelBindings for a channel: the MD5
// digest of a gss_channel_bindings_struct without addresses, each length in 32
// bits (MS-NLMP, Section 2.2.2.1; RFC 2744, Section 3.11).
func channelBindingHash(applicationData []byte) []byte {
	b := make([]byte, 16, 20+len(applicationData))
	b = le.AppendUint32(b, uint32(len(applicationData)))
	sum := md5.Sum(append(b, applicationData...))
	return sum[:]
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// rc4Apply is RC4K of MS-NLMP, Section 6. The key is never empty.
func rc4Apply(key, data []byte) []byte {
	out := make([]byte, len(data))
	newRC4(key).XORKeyStream(out, data)
	return out
}

func newRC4(key []byte) *rc4.Cipher {
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic(err) // a key of this package has 16 bytes
	}
	return c
}
