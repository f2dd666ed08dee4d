package proxyauth

import "strings"

// A fieldParser collects the challenges in the lines of one field. Several lines
// are one list (RFC 9110, Section 5.3), so that a parameter joins the challenge
// before it even over the end of a line.
type fieldParser struct {
	scanner
	line       int
	challenges []Challenge
	faults     []error
}

// parse calls element at each element of the list until it returns false.
func (p *fieldParser) parse(lines []string, element func() bool) {
	size := 0
	for i, line := range lines {
		p.line, p.scanner = i+1, scanner{text: line}
		if size+len(line) > maxFieldBytes {
			p.fault("field too long")
			continue
		}
		size += len(line)
		for p.nextElement() {
			if !element() {
				return
			}
		}
	}
}

func (p *fieldParser) fault(kind string) {
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, &fault{p.line, p.pos + 1, kind})
	}
}

// element takes what begins here, up to the next element. It returns false if
// there are too many challenges.
func (p *fieldParser) element() bool {
	if p.atParam() {
		p.param()
		return true
	}
	scheme := p.token()
	if scheme == "" || !p.atGap() {
		p.fault("neither a challenge nor a parameter")
		p.resync()
		return true
	}
	if len(p.challenges) == maxChallenges {
		p.fault("too many challenges")
		return false
	}
	p.challenge(scheme)
	return true
}

// paramElement is element for a field that has no challenges.
func (p *fieldParser) paramElement() bool {
	if p.atParam() {
		p.param()
		return true
	}
	p.fault("not a parameter")
	p.resync()
	return true
}

// challenge takes what follows the auth-scheme, except for a parameter, which is
// an element that joins the challenge.
func (p *fieldParser) challenge(scheme string) {
	p.challenges = append(p.challenges, Challenge{Scheme: scheme})
	p.blanks()
	if text, ok := p.token68(); ok {
		p.last().Token68 = text
		return
	}
	if p.atDelimiter() || p.atParam() {
		return
	}
	if p.atElement() {
		p.fault("comma missing")
		return
	}
	p.fault("neither a token68 nor a parameter")
	p.resync()
}

func (p *fieldParser) last() *Challenge { return &p.challenges[len(p.challenges)-1] }

func (p *fieldParser) param() {
	name := strings.ToLower(p.token())
	p.blanks()
	p.pos++ // the equals sign that atParam has seen
	p.blanks()
	value, ok := p.value()
	switch {
	case !ok:
	case len(p.challenges) == 0:
		p.fault("parameter before any challenge")
	default:
		p.join(p.last(), name, value)
	}
}

func (p *fieldParser) join(c *Challenge, name, value string) {
	if c.Token68 != "" {
		p.fault("parameter beside a token68")
	}
	if _, ok := c.Params[name]; ok {
		p.fault("parameter given twice")
		return
	}
	if len(c.Params) == maxParams {
		p.fault("too many parameters")
		return
	}
	if c.Params == nil {
		c.Params = make(map[string]string)
	}
	c.Params[name] = value
}

// value takes the value of a parameter. It returns false if it is of no use.
func (p *fieldParser) value() (string, bool) {
	if p.at('"') {
		return p.quoted()
	}
	return p.unquoted()
}

func (p *fieldParser) quoted() (string, bool) {
	open, end := p.pos, p.closingQuote()
	if end < 0 {
		p.fault("quoted string without an end")
		p.pos = open + 1
		p.resync()
		return "", false
	}
	p.pos = end + 1
	switch {
	case p.atDelimiter():
	case p.atGap() && p.atElement():
		p.fault("comma missing")
	default:
		p.stray(open, end)
		return "", false
	}
	value, ok := unquote(p.text[open+1 : end])
	if !ok {
		p.fault("control character in a quoted string")
	}
	return value, ok
}

// stray finds the end of a quoted string with quotes inside. If the second one
// stands behind an equals sign, it opens the next quoted string, and it is the
// end of the first that is missing.
func (p *fieldParser) stray(open, second int) {
	p.fault("stray quote")
	if p.text[second-1] == '=' {
		p.pos = open + 1
	}
	p.resync()
}

// unquoted takes a token, and whatever else proxies leave unquoted: base64,
// realms with blanks, nothing at all.
func (p *fieldParser) unquoted() (string, bool) {
	start := p.pos
	for !p.done() && !p.at(',') && !p.atLooseParam() {
		p.pos++
	}
	value := strings.TrimRight(p.text[start:p.pos], " \t")
	if strings.IndexByte(value, '"') >= 0 || strings.ContainsFunc(value, isControl) {
		p.fault("quote or control character in a value that is not quoted")
		return "", false
	}
	if !p.atDelimiter() {
		p.fault("comma missing")
	}
	if !isToken(value) {
		p.fault("value that should be quoted")
	}
	return value, true
}

func isToken(s string) bool {
	t := scanner{text: s}
	return t.token() != "" && t.done()
}
