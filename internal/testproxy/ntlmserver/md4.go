package ntlmserver

import "math/bits"

// The steps of a round: which word each takes, how far it is rotated, and what
// is added (RFC 1320, Section 3.4).
var md4Rounds = [3]struct {
	f     func(x, y, z uint32) uint32
	words [16]int
	shift [4]int
	add   uint32
}{
	{
		func(x, y, z uint32) uint32 { return x&y | ^x&z },
		[16]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		[4]int{3, 7, 11, 19}, 0,
	}, {
		func(x, y, z uint32) uint32 { return x&y | x&z | y&z },
		[16]int{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
		[4]int{3, 5, 9, 13}, 0x5a827999,
	}, {
		func(x, y, z uint32) uint32 { return x ^ y ^ z },
		[16]int{0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15},
		[4]int{3, 9, 11, 15}, 0x6ed9eba1,
	},
}

const md4Block = 64

// md4 returns the MD4 digest of b (RFC 1320).
func md4(b []byte) []byte {
	state := [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	for padded := md4Pad(b); len(padded) > 0; padded = padded[md4Block:] {
		sum := md4Step(state, padded)
		for i := range state {
			state[i] += sum[i]
		}
	}
	var digest []byte
	for _, word := range state {
		digest = le.AppendUint32(digest, word)
	}
	return digest
}

func md4Pad(b []byte) []byte {
	padded := append(append([]byte(nil), b...), 0x80)
	for len(padded)%md4Block != md4Block-8 {
		padded = append(padded, 0)
	}
	return le.AppendUint64(padded, uint64(len(b))*8)
}

func md4Step(s [4]uint32, block []byte) [4]uint32 {
	for _, round := range md4Rounds {
		for i, word := range round.words {
			sum := s[0] + round.f(s[1], s[2], s[3]) + le.Uint32(block[4*word:]) + round.add
			s = [4]uint32{s[3], bits.RotateLeft32(sum, round.shift[i%4]), s[1], s[2]}
		}
	}
	return s
}
