package krb

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// maxProfileSize and maxProfileNesting bound a krb5.conf, its nested groups
	// and its includes: it is the administrator's, but may name any file.
	maxProfileSize    = 1 << 20
	maxProfileNesting = 10
	maxProfileFiles   = 256
)

// A section is a group of relations of a krb5.conf: a tag has values or a
// subsection, or both.
type section struct {
	values map[string][]string
	subs   map[string]*section
}

func newSection() *section {
	return &section{values: map[string][]string{}, subs: map[string]*section{}}
}

// sub returns the subsection name, made if need be: sections of the same name
// are one.
func (s *section) sub(name string) *section {
	if s.subs[name] == nil {
		s.subs[name] = newSection()
	}
	return s.subs[name]
}

// get returns the first value of tag, which counts if there are several.
func (s *section) get(tag string) string {
	if v := s.values[tag]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// A profileReader reads krb5.conf and what it includes, and keeps the stamps of
// what it has read.
type profileReader struct {
	ctx     context.Context // of the one reading
	root    *section
	stamps  []stamp
	nesting int
	bare    string // the tag of the line before, if nothing came behind its =
}

// file reads the file of that name into the root.
func (p *profileReader) file(name string) error {
	if p.nesting++; p.nesting > maxProfileNesting || len(p.stamps) >= maxProfileFiles {
		return malformed(name, "too many includes")
	}
	defer func() { p.nesting-- }()
	data, st, err := readFile(p.ctx, name, maxProfileSize)
	if err != nil {
		return err
	}
	p.stamps = append(p.stamps, st)
	return p.parse(name, data)
}

func (p *profileReader) parse(name string, data []byte) error {
	// The groups that are open, the innermost last; nothing but an include may
	// stand before the first section.
	var open []*section
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxProfileSize)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		var err error
		if open, err = p.line(line, open); err != nil {
			return fmt.Errorf("%w (line %d of %s)", err, n, name)
		}
	}
	p.bare = ""
	return lines.Err()
}

// line takes one line, with the groups that are open before it, and returns
// those that are open after it.
func (p *profileReader) line(line string, open []*section) ([]*section, error) {
	bare := p.bare
	p.bare = ""
	word, arg := directive(line)
	switch {
	case strings.HasPrefix(word, "include"):
		return open, p.include(word, arg)
	case word == "module" && len(open) == 0:
		return open, nil // a library with a configuration of its own
	case line[0] == '[':
		name, _, ok := strings.Cut(line[1:], "]")
		if !ok {
			return nil, malformed("krb5.conf", "unclosed section name")
		}
		return []*section{p.root.sub(strings.TrimSpace(name))}, nil
	case len(open) == 0:
		return nil, malformed("krb5.conf", "relation outside of a section")
	case line[0] == '}':
		if len(open) == 1 {
			return nil, malformed("krb5.conf", "unmatched brace")
		}
		return open[:len(open)-1], nil
	case line == "{" && bare != "":
		return group(bare, open)
	}
	return p.relation(line, open)
}

// directive returns the word and the argument of a line that is no relation.
func directive(line string) (word, arg string) {
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return "", ""
	}
	if arg = strings.TrimSpace(line[i:]); arg[0] == '=' {
		return "", ""
	}
	return line[:i], arg
}

// relation takes "tag = value", "tag = {", or "tag =" with the brace on the next
// line.
func (p *profileReader) relation(line string, open []*section) ([]*section, error) {
	tag, value, ok := strings.Cut(line, "=")
	if !ok {
		return nil, malformed("krb5.conf", "neither section nor relation")
	}
	tag = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(tag), "*"))
	value = unquote(strings.TrimSpace(value))
	switch value {
	case "{":
		return group(tag, open)
	case "":
		p.bare = tag
		return open, nil
	}
	values := open[len(open)-1].values
	values[tag] = append(values[tag], value)
	return open, nil
}

// group opens the group of that name.
func group(tag string, open []*section) ([]*section, error) {
	if len(open) >= maxProfileNesting {
		return nil, malformed("krb5.conf", "too many nested groups")
	}
	return append(slices.Clip(open), open[len(open)-1].sub(tag)), nil
}

// unquote takes off the quotes of a value, or a comment behind it.
func unquote(value string) string {
	if quoted, ok := strings.CutPrefix(value, `"`); ok {
		text, _, _ := strings.Cut(quoted, `"`)
		return text
	}
	for _, mark := range []string{" #", "\t#", " ;", "\t;"} {
		value, _, _ = strings.Cut(value, mark)
	}
	return strings.TrimSpace(value)
}

func (p *profileReader) include(word, name string) error {
	switch {
	case !filepath.IsAbs(name):
		return malformed(name, "include needs an absolute path")
	case word == "include":
		return p.file(name)
	case word == "includedir":
		return p.directory(name)
	}
	return malformed(name, "unknown directive")
}

// directory reads the files of an includedir, in the order of their names. A
// directory that is missing is none: distributions ship krb5.conf with an
// includedir for a package that need not be installed.
func (p *profileReader) directory(name string) error {
	entries, err := os.ReadDir(name)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if st, err := stampOf(name); err == nil {
		p.stamps = append(p.stamps, st)
	}
	for _, e := range entries {
		if e.IsDir() || !includable(e.Name()) {
			continue
		}
		if err := p.file(filepath.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// includable tells the files that MIT's library takes from an includedir from
// the backups of editors and package managers.
func includable(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	if strings.HasSuffix(name, ".conf") {
		return true
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

func malformed(name, what string) error {
	return detailed{fmt.Errorf("%w: %s: %s", ErrMalformedFile, name, what), About{What: name + ": " + what}}
}
