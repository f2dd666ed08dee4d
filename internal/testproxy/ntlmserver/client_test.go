package ntlmserver_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

var le = binary.LittleEndian

// allFlags are what a complete client asks for: Unicode, target, sign, seal,
// NTLM, always sign, extended session security, target info, version, 128, key
// exchange, 56.
const allFlags uint32 = 0xe2888235

// A client is a complete NTLMv2 client (MIC, channel binding, target name) that
// can be told to do each thing wrong.
type client struct {
	domain, user, password string
	spn                    string
	binding                []byte // value of the AV pair, none if nil
	flags                  uint32 // of both messages
	noMIC                  bool

	dropFlags, addFlags uint32               // in the AUTHENTICATE
	addAVFlags          uint32               // besides the MIC's
	time                []byte               // instead of the server's
	lm                  []byte               // instead of the rule's
	editPairs           func([]pair) []pair  // before the blob is made
	editBlob            func([]byte) []byte  // before the proof is made
	editResponse        func([]byte) []byte  // after that
	editFields          func(map[int][]byte) // before the message is laid out
	editMessage         func([]byte)         // before the MIC is made

	exported []byte // after authenticate
	sent     uint32 // flags of the AUTHENTICATE
}

type pair struct {
	id    uint16
	value []byte
}

func ann() *client {
	return &client{user: "ann", password: "s3cret", flags: allFlags, spn: "HTTP/proxy.example.com"}
}

func (c *client) negotiate() []byte {
	msg := append([]byte("NTLMSSP\x00"), 1, 0, 0, 0)
	msg = le.AppendUint32(msg, c.flags)
	msg = append(msg, make([]byte, 16)...)
	return append(msg, 10, 0, 0, 0, 0, 0, 0, 15)
}

// authenticate answers challenge. It expects a well-formed one, but does not
// panic on any.
func (c *client) authenticate(negotiate, challenge []byte) []byte {
	nonce, flags, pairs := readChallenge(challenge)
	key := hmacMD5(ntlmserver.MD4(utf16le(c.password)), utf16le(strings.ToUpper(c.user)), utf16le(c.domain))
	clientNonce := bytes.Repeat([]byte{0xaa}, 8)
	stamp, hasStamp := find(pairs, 7)
	if c.time != nil {
		stamp = c.time
	} else if !hasStamp {
		stamp = epoch
	}
	response := c.response(key, nonce, stamp, clientNonce, c.pairs(pairs))
	base := hmacMD5(key, response[:16])

	lm := make([]byte, 24)
	if c.lm != nil {
		lm = c.lm
	} else if !hasStamp {
		lm = append(hmacMD5(key, nonce, clientNonce), clientNonce...)
	}
	c.sent = flags&c.flags&^c.dropFlags | c.addFlags
	session := c.session(base)
	if c.editResponse != nil {
		response = c.editResponse(response)
	}
	msg := c.layOut(map[int][]byte{
		12: lm, 20: response, 28: utf16le(c.domain), 36: utf16le(c.user), 44: utf16le("LAB"), 52: session,
	})
	if c.editMessage != nil {
		c.editMessage(msg)
	}
	if !c.noMIC {
		copy(msg[72:], hmacMD5(c.exported, negotiate, challenge, msg))
	}
	return msg
}

// session returns the encrypted session key.
func (c *client) session(base []byte) []byte {
	c.exported = base
	if c.sent&(1<<30) == 0 {
		return nil
	}
	c.exported = bytes.Repeat([]byte{0x55}, 16)
	out := make([]byte, 16)
	handle, _ := rc4.NewCipher(base)
	handle.XORKeyStream(out, c.exported)
	return out
}

// pairs adds the client's pairs to the server's.
func (c *client) pairs(pairs []pair) []pair {
	flags := c.addAVFlags
	if !c.noMIC {
		flags |= 2
	}
	if i := index(pairs, 6); i >= 0 {
		flags |= le.Uint32(pairs[i].value)
		pairs = append(pairs[:i:i], pairs[i+1:]...)
	}
	if flags != 0 {
		pairs = append(pairs, pair{6, le.AppendUint32(nil, flags)})
	}
	if c.binding != nil {
		pairs = append(pairs, pair{10, c.binding})
	}
	if c.spn != "" {
		pairs = append(pairs, pair{9, utf16le(c.spn)})
	}
	if c.editPairs != nil {
		pairs = c.editPairs(pairs)
	}
	return pairs
}

func (c *client) response(key, nonce, stamp, clientNonce []byte, pairs []pair) []byte {
	blob := append([]byte{1, 1, 0, 0, 0, 0, 0, 0}, stamp...)
	blob = append(append(blob, clientNonce...), 0, 0, 0, 0)
	for _, p := range pairs {
		blob = le.AppendUint16(blob, p.id)
		blob = append(le.AppendUint16(blob, uint16(len(p.value))), p.value...)
	}
	blob = append(blob, 0, 0, 0, 0, 0, 0, 0, 0)
	if c.editBlob != nil {
		blob = c.editBlob(blob)
	}
	return append(hmacMD5(key, nonce, blob), blob...)
}

// layOut makes the message from the fields by the place of their headers.
func (c *client) layOut(fields map[int][]byte) []byte {
	if c.editFields != nil {
		c.editFields(fields)
	}
	msg := make([]byte, 88)
	copy(msg, "NTLMSSP\x00\x03")
	le.PutUint32(msg[60:], c.sent)
	copy(msg[64:], []byte{10, 0, 0, 0, 0, 0, 0, 15})
	for _, at := range []int{28, 36, 44, 12, 20, 52} {
		le.PutUint16(msg[at:], uint16(len(fields[at])))
		le.PutUint16(msg[at+2:], uint16(len(fields[at])))
		le.PutUint32(msg[at+4:], uint32(len(msg)))
		msg = append(msg, fields[at]...)
	}
	return msg
}

// readChallenge returns what a client needs, as much as there is.
func readChallenge(msg []byte) (nonce []byte, flags uint32, pairs []pair) {
	if len(msg) < 48 {
		return make([]byte, 8), 0, nil
	}
	n, at := int(le.Uint16(msg[40:])), int(le.Uint32(msg[44:]))
	if at+n <= len(msg) {
		pairs = readPairs(msg[at : at+n])
	}
	return msg[24:32], le.Uint32(msg[20:]), pairs
}

func readPairs(b []byte) (pairs []pair) {
	for len(b) >= 4 {
		id, n := le.Uint16(b), int(le.Uint16(b[2:]))
		if b = b[4:]; id == 0 || n > len(b) {
			break
		}
		pairs = append(pairs, pair{id, b[:n:n]})
		b = b[n:]
	}
	return pairs
}

func index(pairs []pair, id uint16) int {
	for i, p := range pairs {
		if p.id == id && (id != 6 || len(p.value) == 4) {
			return i
		}
	}
	return -1
}

func find(pairs []pair, id uint16) ([]byte, bool) {
	if i := index(pairs, id); i >= 0 && len(pairs[i].value) == 8 {
		return pairs[i].value, true
	}
	return nil, false
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	h.Write(bytes.Join(parts, nil))
	return h.Sum(nil)
}

func utf16le(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return b
}
