package prompt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds an answer, in bytes.
const maxLine = 1024

// Keys that are not text, as a terminal in raw mode sends them.
const (
	keyInterrupt = 'C' - '@'
	keyEnd       = 'D' - '@'
	keyBackspace = 'H' - '@'
	keyEraseAll  = 'U' - '@'
	keyEraseWord = 'W' - '@'
	keyQuit      = '\\' - '@'
	keyDelete    = 0x7f
)

var (
	errNotUTF8 = errors.New("what was typed is not UTF-8: set the terminal to UTF-8")
	errNotText = errors.New("what was typed has a key in it that is not text, such as Esc, Tab or a cursor key")
	errTooLong = fmt.Errorf("what was typed has more than %d bytes", maxLine)
)

// A line is what is typed until the next line end.
type line struct {
	prompt string
	echo   bool
	out    io.Writer
	text   []byte
	shown  int // bytes of text that are on the screen
}

// read reads the line byte by byte. It returns ErrCancelled if the person gives up, and
// else an error only at the line end, so that nothing of the answer is left to be shown.
func (l *line) read(next func() (byte, error)) (string, error) {
	io.WriteString(l.out, l.prompt)
	defer func() {
		clear(l.text)
		io.WriteString(l.out, "\r\n")
	}()
	for {
		b, err := next()
		if err != nil {
			return "", err
		}
		switch b {
		case '\r', '\n':
			return string(l.text), check(l.text)
		case keyInterrupt, keyEnd, keyQuit:
			return "", ErrCancelled
		case keyBackspace, keyDelete:
			_, size := utf8.DecodeLastRune(l.text)
			l.erase(len(l.text) - size)
		case keyEraseAll:
			l.erase(0)
		case keyEraseWord:
			l.erase(1 + bytes.LastIndexByte(bytes.TrimRight(l.text, " "), ' '))
		default:
			l.add(b)
		}
	}
}

// check returns why text can't be an answer. What is dropped in silence would be another
// answer, and count as a failed login.
func check(text []byte) error {
	switch {
	case len(text) > maxLine:
		return errTooLong
	case !utf8.Valid(text), bytes.ContainsRune(text, utf8.RuneError):
		return errNotUTF8
	case bytes.ContainsFunc(text, unicode.IsControl):
		return errNotText
	}
	return nil
}

func (l *line) add(b byte) {
	if len(l.text) > maxLine {
		return
	}
	l.text = append(l.text, b)
	if l.echo && utf8.FullRune(l.text[l.shown:]) {
		io.WriteString(l.out, printed(string(l.text[l.shown:])))
		l.shown = len(l.text)
	}
}

// erase takes all bytes from n on off the line.
func (l *line) erase(n int) {
	clear(l.text[n:])
	l.text = l.text[:n]
	if l.echo && l.shown > n {
		// Some characters take two columns.
		io.WriteString(l.out, "\r\x1b[K"+l.prompt+printed(string(l.text)))
		l.shown = n
	}
}

// printed makes text fit for a terminal: it may be the peer's, and hold escape sequences.
func printed(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return '?'
	}, text)
}
