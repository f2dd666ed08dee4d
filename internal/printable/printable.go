// Package printable makes text of a peer, or of an error, fit for one line of a log or a
// terminal.
package printable

import (
	"slices"
	"strings"
	"unicode"
)

// maxText bounds what Text returns.
const maxText = 1 << 10

// Text returns s as valid UTF-8 without what is not printable, cut after 1 KiB.
func Text(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// List returns names in one text, "none" for no names. A name that stands several times in a
// row is printed once.
func List(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return Text(strings.Join(slices.Compact(slices.Clone(names)), ", "))
}

// Unprefixed returns the text of an error on one line, and without the prefix with which it,
// and each error within, begins.
func Unprefixed(prefix, text string) string {
	text = strings.ReplaceAll(text, "\n", "; ")
	for _, before := range []string{": ", "; ", "("} {
		text = strings.ReplaceAll(text, before+prefix, before)
	}
	return strings.TrimPrefix(text, prefix)
}
