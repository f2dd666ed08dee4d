package httpfield

import "strings"

// A scanner reads the text of one line. Methods with a value receiver look ahead
// and move nothing.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) done() bool { return s.pos >= len(s.text) }

func (s *scanner) at(b byte) bool { return !s.done() && s.text[s.pos] == b }

// run moves over the bytes of a set and returns them.
func (s *scanner) run(member func(byte) bool) string {
	start := s.pos
	for !s.done() && member(s.text[s.pos]) {
		s.pos++
	}
	return s.text[start:s.pos]
}

func (s *scanner) token() string { return s.run(isTokenByte) }

func (s *scanner) blanks() { s.run(isBlank) }

// nextElement moves to the next element of the list and reports whether there is
// one. Empty elements are skipped (RFC 9110, Section 5.6.1.2).
func (s *scanner) nextElement() bool {
	s.run(func(b byte) bool { return b == ',' || isBlank(b) })
	return !s.done()
}

// atDelimiter reports whether only blanks are left of the element.
func (s scanner) atDelimiter() bool {
	s.blanks()
	return s.done() || s.at(',')
}

// atGap reports whether the next byte is a blank, a comma or missing.
func (s scanner) atGap() bool {
	return s.done() || s.at(',') || isBlank(s.text[s.pos])
}

// atParam reports whether an auth-param follows: only auth-params begin with a
// token and an equals sign.
func (s scanner) atParam() bool {
	if s.token() == "" {
		return false
	}
	s.blanks()
	return s.at('=')
}

// atElement reports whether blanks follow and then an auth-param, or a challenge
// that has one: this is an element although the comma before it is missing.
func (s scanner) atElement() bool {
	s.blanks()
	if s.atParam() {
		return true
	}
	if s.token() == "" || !s.atGap() {
		return false
	}
	s.blanks()
	return s.atParam()
}

// atSpacedParam reports whether this is the first of some blanks and an auth-param
// follows them.
func (s scanner) atSpacedParam() bool {
	// At the other blanks it is false: a long run of them would take quadratic time.
	if !isBlank(s.text[s.pos]) || isBlank(s.text[s.pos-1]) {
		return false
	}
	s.blanks()
	return s.atParam()
}

// token68 moves over a token68 that ends the element, and returns it.
func (s *scanner) token68() (string, bool) {
	ahead := *s
	if ahead.run(isToken68Byte) == "" {
		return "", false
	}
	ahead.run(func(b byte) bool { return b == '=' })
	if !ahead.atDelimiter() {
		return "", false
	}
	text := s.text[s.pos:ahead.pos]
	s.pos = ahead.pos
	return text, true
}

// closingQuote returns the end of the quoted string that begins here, or -1.
func (s scanner) closingQuote() int {
	for i := s.pos + 1; i < len(s.text); i++ {
		switch s.text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// skipElement moves to the comma that ends a malformed element. A comma in a quoted
// string is no end, but only where the string begins behind an equals sign: other
// quotes may be stray ones.
func (s *scanner) skipElement() {
	for ; !s.done() && !s.at(','); s.pos++ {
		if !s.at('"') || s.pos == 0 || s.text[s.pos-1] != '=' {
			continue
		}
		if end := s.closingQuote(); end > 0 {
			s.pos = end
		}
	}
}

// unescape returns the value of a quoted string without its quotes (RFC 9110,
// Section 5.6.4). It returns false if there is a control character in it.
func unescape(text string) (string, bool) {
	if strings.ContainsFunc(text, isControl) {
		return "", false
	}
	if strings.IndexByte(text, '\\') < 0 {
		return text, true
	}
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++ // a byte follows: closingQuote skips both
		}
		b.WriteByte(text[i])
	}
	return b.String(), true
}

func isToken(s string) bool {
	t := scanner{text: s}
	return t.token() != "" && t.done()
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// isControl reports whether r is not allowed in a field value (RFC 9110, Section
// 5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func isAlphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

func isTokenByte(b byte) bool {
	return isAlphanumeric(b) || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

func isToken68Byte(b byte) bool {
	return isAlphanumeric(b) || strings.IndexByte("-._~+/", b) >= 0
}
