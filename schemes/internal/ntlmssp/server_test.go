package ntlmssp_test

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM's password hash is MD4

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

// What a server knows of MS-NLMP is written down here a second time, so that the
// client's idea of it is not tested against itself.
const (
	unicodeFlag    = 0x00000001
	signFlag       = 0x00000010
	extendedFlag   = 0x00080000
	targetInfoFlag = 0x00800000

	// serverFlags are those of a Samba server.
	serverFlags = 0xa28a8205
)

func config(username, password string) ntlmssp.Config {
	return ntlmssp.Config{
		Credentials: proxyauth.Credentials{Username: username, Password: proxyauth.NewSecret(password)},
		TargetName:  "HTTP/proxy.example.com",
	}
}

func newClient(t testing.TB, c ntlmssp.Config) *ntlmssp.Client {
	t.Helper()
	client, err := ntlmssp.New(c)
	require.NoError(t, err)
	return client
}

// pair returns an AV_PAIR.
func pair(id uint16, value string) []byte {
	b := binary.LittleEndian.AppendUint16(nil, id)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

var (
	names     = slices.Concat(pair(2, wide("LAB")), pair(1, wide("PROXY")))
	timestamp = pair(7, "\x01\x02\x03\x04\x05\x06\x07\x08")
	end       = pair(0, "")
	modern    = slices.Concat(names, timestamp, end) // the target info of a current server
	ancient   = slices.Concat(names, end)            // one from before there were MICs
)

// challenge returns a CHALLENGE_MESSAGE.
func challenge(flags uint32, info []byte) []byte {
	name := wide("LAB")
	b := append([]byte("NTLMSSP\x00"), 2, 0, 0, 0)
	b = appendVar(b, len(name), 56)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, "\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x00\x00\x00\x00\x00\x00\x00"...)
	b = appendVar(b, len(info), 56+len(name))
	b = append(b, 6, 1, 0, 0, 0, 0, 0, 15)
	return append(append(b, name...), info...)
}

func appendVar(b []byte, size, offset int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(size))
	b = binary.LittleEndian.AppendUint16(b, uint16(size))
	return binary.LittleEndian.AppendUint32(b, uint32(offset))
}

func wide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func narrow(b []byte) string {
	var units []uint16
	for pair := range slices.Chunk(b, 2) {
		units = append(units, binary.LittleEndian.Uint16(pair))
	}
	return string(utf16.Decode(units))
}

// An authenticate is an AUTHENTICATE_MESSAGE, taken apart.
type authenticate struct {
	lm, nt, sessionKey, version, mic []byte
	domain, user, workstation        string
	flags                            uint32
}

func parseAuthenticate(t testing.TB, b []byte) authenticate {
	t.Helper()
	m, err := readAuthenticate(b)
	require.NoError(t, err)
	return m
}

func readAuthenticate(b []byte) (m authenticate, err error) {
	if len(b) < 88 || string(b[:12]) != "NTLMSSP\x00\x03\x00\x00\x00" {
		return m, errors.New("no AUTHENTICATE_MESSAGE")
	}
	var fields [6][]byte
	for i := range fields {
		at := 12 + 8*i
		size, limit := binary.LittleEndian.Uint16(b[at:]), binary.LittleEndian.Uint16(b[at+2:])
		start := uint64(binary.LittleEndian.Uint32(b[at+4:]))
		if size == 0 {
			continue // the offset of an empty field means nothing
		}
		if start < 88 || start+uint64(size) > uint64(len(b)) || size != limit {
			return m, errors.New("field out of bounds")
		}
		fields[i] = b[start : start+uint64(size)]
	}
	for _, name := range fields[2:5] {
		if len(name)%2 != 0 {
			return m, errors.New("half a character")
		}
	}
	return authenticate{
		lm: fields[0], nt: fields[1], sessionKey: fields[5],
		domain: narrow(fields[2]), user: narrow(fields[3]), workstation: narrow(fields[4]),
		flags: binary.LittleEndian.Uint32(b[60:]), version: b[64:72], mic: b[72:88],
	}, nil
}

// pairs returns the AV_PAIRs of the NTLMv2 response, which are well-formed and
// end where the response ends.
func (m authenticate) pairs() (map[uint16]string, error) {
	if len(m.nt) < 16+28+4+4 {
		return nil, errors.New("response too short")
	}
	return readPairs(m.nt[16+28 : len(m.nt)-4])
}

func readPairs(b []byte) (map[uint16]string, error) {
	pairs := map[uint16]string{}
	for len(b) >= 4 {
		id, size := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		b = b[4:]
		if id == 0 {
			if size != 0 || len(b) != 0 {
				return nil, errors.New("MsvAvEOL is not the end")
			}
			return pairs, nil
		}
		if _, twice := pairs[id]; twice || size > len(b) {
			return nil, errors.New("pair twice or out of bounds")
		}
		pairs[id] = string(b[:size])
		b = b[size:]
	}
	return nil, errors.New("no MsvAvEOL")
}

// A server verifies exchanges.
type server struct {
	password   string
	requireMIC bool
}

// verify verifies the last message of an exchange.
func (s server) verify(negotiate, challenge, message []byte) error {
	m, err := readAuthenticate(message)
	if err != nil {
		return err
	}
	pairs, err := m.pairs()
	if err != nil {
		return err
	}
	h := md4.New()
	h.Write([]byte(wide(s.password)))
	key := hmacMD5(h.Sum(nil), wide(strings.ToUpper(m.user)+m.domain))
	proof := hmacMD5(key, string(challenge[24:32])+string(m.nt[16:]))
	if !hmac.Equal(proof, m.nt[:16]) {
		return errors.New("wrong password")
	}
	mic := pairs[6] != "" && pairs[6][0]&2 != 0
	if !mic && s.requireMIC {
		return errors.New("no MIC")
	}
	if !mic {
		return nil
	}
	cleared := slices.Concat(message[:72], make([]byte, 16), message[88:])
	want := hmacMD5(hmacMD5(key, string(proof)), string(negotiate)+string(challenge)+string(cleared))
	if !hmac.Equal(want, m.mic) {
		return errors.New("wrong MIC")
	}
	return nil
}

func hmacMD5(key []byte, text string) []byte {
	mac := hmac.New(md5.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func md5Sum(text string) []byte {
	sum := md5.Sum([]byte(text))
	return sum[:]
}
