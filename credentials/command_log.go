package credentials

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"html"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

const (
	// maxEncodings bounds how many encodings of a secret, one within the other, are undone.
	maxEncodings = 2

	// maxCleaning bounds the length of what is searched, all secrets together: undoing
	// encodings takes a while.
	maxCleaning = 8 * maxCommandErrors
)

const redacted = "[redacted]"

// logErrors logs what the program has written to its standard error.
func (r *run) logErrors(ctx context.Context, text string) {
	if r.Logger == nil {
		return
	}
	if len(text) == maxCommandErrors {
		// The end may be half of a password.
		text = text[:strings.LastIndexByte(text, '\n')+1]
	}
	// The longest first, since one may be the beginning of another.
	slices.SortFunc(r.secrets, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	r.secrets = slices.Compact(r.secrets)
	clean := r.clean
	if len(r.secrets)*len(text) > maxCleaning {
		clean = func(string) string { return redacted }
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			r.Logger.InfoContext(ctx, "credential helper says", "helper", r.String(), "text", clean(line))
		}
	}
}

// secretLike matches what programs print before a secret, and all behind it.
var secretLike = regexp.MustCompile(`(?i)(passw|passphrase|passcode|secret|token|authorization|credential)[\w-]*["']?\s*[=:].*`)

// clean takes out of a line what may be a secret. A line with a secret that is encoded is
// taken out as a whole.
func (r *run) clean(line string) string {
	for _, secret := range r.secrets {
		line = strings.ReplaceAll(line, secret, redacted)
		if reveals(line, secret, maxEncodings) {
			return redacted
		}
	}
	line = secretLike.ReplaceAllString(line, "$1"+redacted)
	return strings.Map(printable, strings.ToValidUTF8(line, "?"))
}

// reveals reports whether text has secret in it, encoded at most layers times.
func reveals(text, secret string, layers int) bool {
	if strings.Contains(text, secret) {
		return true
	}
	if layers == 0 {
		return false
	}
	for decoded := range decodings(text) {
		if decoded != text && reveals(decoded, secret, layers-1) {
			return true
		}
	}
	return false
}

var (
	percentEncoded = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	escaped        = regexp.MustCompile(`(?:\\u[0-9A-Fa-f]{4})+|\\(?:U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[0-3][0-7]{2}|.)`)
	inBase64       = regexp.MustCompile(`[A-Za-z0-9+/]{2,}`)
	quotedPrint    = regexp.MustCompile(`=[0-9A-Fa-f]{2}`)
	inHex          = regexp.MustCompile(`(?:[0-9A-Fa-f]{2}[ :]?)+`)
	betweenHex     = strings.NewReplacer(" ", "", ":", "")
	inNumbers      = regexp.MustCompile(`(?:0[xX])?[0-9A-Fa-f]{1,3}(?:\W+(?:0[xX])?[0-9A-Fa-f]{1,3})+`)
	betweenNumbers = regexp.MustCompile(`\W+(?:0[xX])?|^0[xX]`)
)

// decodings returns text with each of the usual encodings undone, as far as it has them:
// that of URLs and of forms, the escapes of JSON, of shells and of C, HTML, quoted-printable,
// UTF-16, base64 that begins at any byte, hex, and lists of numbers.
func decodings(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(unhex(percentEncoded, text)) || !yield(unhex(percentEncoded, strings.ReplaceAll(text, "+", " "))) ||
			!yield(unhex(quotedPrint, text)) ||
			!yield(escaped.ReplaceAllStringFunc(text, unescape)) || !yield(html.UnescapeString(text)) ||
			!yield(fromUTF16(text)) || !yield(fromUTF16(text[min(1, len(text)):])) {
			return
		}
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(text)
		for _, word := range slices.Concat(inBase64.FindAllString(text, -1), inBase64.FindAllString(standard, -1)) {
			for start := range min(4, len(word)) {
				part := word[start:]
				if len(part)%4 == 1 {
					part = part[:len(part)-1]
				}
				if data, _ := base64.RawStdEncoding.DecodeString(part); !yield(string(data)) {
					return
				}
			}
		}
		for _, word := range inHex.FindAllString(text, -1) {
			if data, _ := hex.DecodeString(betweenHex.Replace(word)); !yield(string(data)) {
				return
			}
		}
		for _, list := range inNumbers.FindAllString(text, -1) {
			numbers := betweenNumbers.Split(list, -1)
			for _, base := range []int{8, 10, 16} {
				if !yield(fromNumbers(numbers, base)) {
					return
				}
			}
		}
	}
}

// unhex replaces what is encoded, a mark and two digits, by the byte.
func unhex(encoded *regexp.Regexp, text string) string {
	return encoded.ReplaceAllStringFunc(text, func(s string) string { return byteOf(s[1:], 16) })
}

// fromNumbers returns the bytes that have the numbers, and leaves out what is not one.
func fromNumbers(numbers []string, base int) string {
	var text []byte
	for _, number := range numbers {
		if n, err := strconv.ParseUint(number, base, 8); err == nil {
			text = append(text, byte(n))
		}
	}
	return string(text)
}

// fromUTF16 reads text as UTF-16 in the byte order of Windows.
func fromUTF16(text string) string {
	units := make([]uint16, len(text)/2)
	for i := range units {
		units[i] = uint16(text[2*i]) | uint16(text[2*i+1])<<8
	}
	return string(utf16.Decode(units))
}

func byteOf(digits string, base int) string {
	n, _ := strconv.ParseUint(digits, base, 8)
	return string([]byte{byte(n)})
}

// unescape returns what stands for an escape that begins with a backslash, or for several
// of the form \uXXXX: two make one character outside the first plane.
func unescape(s string) string {
	switch c := s[1]; {
	case c == 'u' && len(s) >= 6: // \u0026
		var units []uint16
		for digits := range strings.SplitSeq(s[2:], `\u`) {
			n, _ := strconv.ParseUint(digits, 16, 16)
			units = append(units, uint16(n))
		}
		return string(utf16.Decode(units))
	case c == 'U' && len(s) == 10: // \U0001f600
		n, _ := strconv.ParseInt(s[2:], 16, 32)
		return string(rune(n))
	case c == 'x' && len(s) == 4: // \x26
		return byteOf(s[2:], 16)
	case '0' <= c && c <= '3' && len(s) == 4: // \046
		return byteOf(s[1:], 8)
	}
	return s[1:]
}

func printable(r rune) rune {
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return '?'
	}
	return r
}
