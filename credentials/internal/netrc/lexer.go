package netrc

import (
	"fmt"
	"strings"
)

const byteOrderMark = "\ufeff"

type lexer struct {
	rest string
	line int
}

func newLexer(data []byte) *lexer {
	// Editors on Windows put a byte order mark first.
	return &lexer{rest: strings.TrimPrefix(string(data), byteOrderMark), line: 1}
}

func (l *lexer) errorf(format string, args ...any) error {
	return &SyntaxError{Line: l.line, Problem: fmt.Sprintf(format, args...)}
}

func (l *lexer) atEnd() bool { return l.rest == "" }

func (l *lexer) comment() bool { return strings.HasPrefix(l.rest, "#") }

func (l *lexer) skipBlanks() {
	rest := strings.TrimLeft(l.rest, blanks)
	l.line += strings.Count(l.rest[:len(l.rest)-len(rest)], "\n")
	l.rest = rest
}

const blanks = " \t\r\n\v\f"

// skipLine returns the rest of the line.
func (l *lexer) skipLine() string {
	line, rest, found := strings.Cut(l.rest, "\n")
	if found {
		l.line++
	}
	l.rest = rest
	return line
}

// skipMacro skips the macro's name and its lines, the last of which is empty.
func (l *lexer) skipMacro() {
	l.skipLine()
	for !l.atEnd() {
		if strings.TrimSuffix(l.skipLine(), "\r") == "" {
			return
		}
	}
}

// token returns the token that begins here.
func (l *lexer) token() (string, error) {
	if strings.HasPrefix(l.rest, `"`) {
		return l.quoted()
	}
	end := strings.IndexAny(l.rest, blanks)
	if end < 0 {
		end = len(l.rest)
	}
	token := l.rest[:end]
	l.rest = l.rest[end:]
	return token, l.checkControls(token)
}

// quoted takes backslashes as curl does.
func (l *lexer) quoted() (string, error) {
	var text strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch b := l.rest[i]; b {
		case '"':
			l.rest = l.rest[i+1:]
			return text.String(), l.checkEnd(text.String())
		case '\n':
			return "", l.errorf("a quoted string that does not end")
		case '\\':
			i++
			if i == len(l.rest) {
				return "", l.errorf("a quoted string that does not end")
			}
			text.WriteByte(unescape(l.rest[i]))
		default:
			text.WriteByte(b)
		}
	}
	return "", l.errorf("a quoted string that does not end")
}

func unescape(b byte) byte {
	switch b {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return b
}

func (l *lexer) checkEnd(text string) error {
	if l.rest != "" && !strings.ContainsRune(blanks, rune(l.rest[0])) {
		return l.errorf("text right behind a quoted string")
	}
	return l.checkControls(text)
}

// A control character in a user name or password must not reach the wire.
func (l *lexer) checkControls(text string) error {
	if strings.ContainsFunc(text, isControl) {
		return l.errorf("a control character")
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
