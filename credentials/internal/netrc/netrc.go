// Package netrc reads the file format of ftp and curl.
//
// It is not one of the parsers on the module proxy, as they take quoted strings
// apart, let macros define entries, and index past the end of a file that is cut
// off; none can say in which line a mistake is.
package netrc

import (
	"fmt"
	"strings"
)

// An Entry is what follows one "machine" or "default".
type Entry struct {
	// Machine is the host; it is empty for the default.
	Machine string
	Default bool

	// Login and Password are nil if the entry has none.
	Login, Password *string

	// Ports holds the values of "port" and "protocol", which limit an entry to
	// a port number or a protocol.
	Ports []string
}

// A SyntaxError says in which line a file is malformed, but not what is there.
type SyntaxError struct {
	Line    int
	Problem string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d: %s", e.Line, e.Problem)
}

// Parse returns the entries of data in their order. Where a keyword belongs, it
// skips, word by word as curl does, what is none. Its errors are of type
// [*SyntaxError].
func Parse(data []byte) ([]Entry, error) {
	p := &parser{lexer: newLexer(data)}
	for {
		keyword, err := p.keyword()
		if err != nil {
			return nil, err
		}
		if keyword == "" {
			return p.entries, nil
		}
		if err := p.statement(keyword); err != nil {
			return nil, err
		}
	}
}

type parser struct {
	*lexer
	entries []Entry
}

func (p *parser) statement(keyword string) error {
	switch keyword {
	case "default":
		p.entries = append(p.entries, Entry{Default: true})
		return nil
	case "macdef":
		p.skipMacro()
		return nil
	case "machine", "login", "user", "password", "account", "port", "protocol":
		value, err := p.value(keyword)
		if err != nil {
			return err
		}
		return p.assign(keyword, value)
	}
	// Other programs have keywords of their own.
	return nil
}

func (p *parser) assign(keyword, value string) error {
	if keyword == "machine" {
		p.entries = append(p.entries, Entry{Machine: value})
		return nil
	}
	if len(p.entries) == 0 {
		return p.errorf("%s before the first machine", keyword)
	}
	entry := &p.entries[len(p.entries)-1]
	switch keyword {
	case "login", "user":
		return p.assignOnce("login", &entry.Login, value)
	case "password":
		return p.assignOnce("password", &entry.Password, value)
	case "port", "protocol":
		entry.Ports = append(entry.Ports, value)
	}
	return nil
}

// assignOnce refuses a second value: if it is "machine" that is misspelled, what
// follows is for another host.
func (p *parser) assignOnce(keyword string, field **string, value string) error {
	if *field != nil {
		return p.errorf("a second %s in one entry", keyword)
	}
	*field = &value
	return nil
}

// keyword returns the next keyword in lower case, or "" at the end. A comment
// can stand only where a keyword can, so that a password may begin with #.
func (p *parser) keyword() (string, error) {
	for {
		p.skipBlanks()
		if p.atEnd() {
			return "", nil
		}
		if p.comment() {
			p.skipLine()
			continue
		}
		token, err := p.token()
		if token != "" || err != nil {
			return strings.ToLower(token), err
		}
	}
}

func (p *parser) value(keyword string) (string, error) {
	p.skipBlanks()
	if p.atEnd() {
		return "", p.errorf("%s without a value", keyword)
	}
	return p.token()
}
