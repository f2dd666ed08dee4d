package proxyauth

import "strings"

// A scanner walks over the text of one field line. Methods that only look ahead
// work on a copy.
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

// nextElement moves to the next element of a list and reports whether there is
// one. Empty elements are skipped (RFC 9110, Section 5.6.1.2).
func (s *scanner) nextElement() bool {
	s.run(func(b byte) bool { return b == ',' || isBlank(b) })
	return !s.done()
}

// atDelimiter reports whether nothing but blanks is left of the element.
func (s scanner) atDelimiter() bool {
	s.blanks()
	return s.done() || s.at(',')
}

// atGap reports whether a blank, a comma or the end follows at once.
func (s scanner) atGap() bool {
	return s.done() || s.at(',') || isBlank(s.text[s.pos])
}

// atParam reports whether an auth-param follows: nothing else begins with a
// token and an equals sign.
func (s scanner) atParam() bool {
	if s.token() == "" {
		return false
	}
	s.blanks()
	return s.at('=')
}

// atElement reports whether blanks and then an auth-param follow, or a challenge
// that begins with one: what is taken for an element although the comma before
// it is missing.
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

// atLooseParam reports whether the first of some blanks is here and an auth-param
// behind them.
func (s scanner) atLooseParam() bool {
	// Only the first, or a long run of blanks would take quadratic time.
	if !isBlank(s.text[s.pos]) || isBlank(s.text[s.pos-1]) {
		return false
	}
	s.blanks()
	return s.atParam()
}

// token68 moves over a token68 that fills the element, and returns it.
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

// closingQuote returns where the quoted string that opens here ends, or -1.
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

// resync moves to the comma that ends a malformed element. A comma between
// quotes is passed over if the first quote stands behind an equals sign, where
// one belongs; other quotes can't be trusted, since squid puts a realm between
// quotes without escaping the ones inside.
func (s *scanner) resync() {
	for ; !s.done() && !s.at(','); s.pos++ {
		if !s.at('"') || s.pos == 0 || s.text[s.pos-1] != '=' {
			continue
		}
		if end := s.closingQuote(); end > 0 {
			s.pos = end
		}
	}
}

// unquote returns what the inside of a quoted string stands for. It fails if
// there is a control character in it.
func unquote(inside string) (string, bool) {
	if strings.ContainsFunc(inside, isControl) {
		return "", false
	}
	if strings.IndexByte(inside, '\\') < 0 {
		return inside, true
	}
	var b strings.Builder
	b.Grow(len(inside))
	for i := 0; i < len(inside); i++ {
		if inside[i] == '\\' {
			i++ // closingQuote has seen to it that a byte follows
		}
		b.WriteByte(inside[i])
	}
	return b.String(), true
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// isControl reports whether r can't be in a field value (RFC 9110, Section 5.5).
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
