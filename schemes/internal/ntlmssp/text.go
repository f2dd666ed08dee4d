package ntlmssp

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf16"
)

// utf16LE returns s in the encoding that NTLM means by Unicode.
func utf16LE(s string) []byte {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// upcase returns s in upper case as Windows has it: one UTF-16 code unit for
// another, so that ß stays and nothing beyond the Basic Multilingual Plane
// changes.
func upcase(s string) string { return strings.Map(upcaseRune, s) }

// upcaseRune follows the table that Windows keeps frozen, since names on its
// disks and in its directories depend on it. It has a mapping where upper and
// lower case lead back to each other, which leaves alone the dotless ı, the long ſ
// and the micro sign µ, and it has that of the final sigma.
func upcaseRune(r rune) rune {
	switch {
	case r > 0xFFFF || unicode.Is(caselessInWindows, r):
		return r
	case r == 'ς':
		return 'Σ'
	}
	if u := unicode.ToUpper(r); unicode.ToLower(u) == r {
		return u
	}
	return r
}

// caselessInWindows holds the letters that have had an upper case only since
// Unicode 8 (Cherokee) and 11 (Georgian), after Windows froze its table.
var caselessInWindows = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x10D0, Hi: 0x10FF, Stride: 1},
	{Lo: 0x13F8, Hi: 0x13FD, Stride: 1},
	{Lo: 0xAB70, Hi: 0xABBF, Stride: 1},
}}
