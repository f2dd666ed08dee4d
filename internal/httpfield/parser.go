package httpfield

import "strings"

// A parser collects the challenges in the lines of one field.
type parser struct {
	scanner
	line       int
	challenges []Challenge
	errs       []error
}

// parse calls element at the beginning of each list element, until it returns
// false.
func (p *parser) parse(lines []string, element func() bool) {
	size := 0
	for i, line := range lines {
		p.line, p.scanner = i+1, scanner{text: line}
		if size+len(line) > MaxBytes {
			p.fault("field too long")
			continue
		}
		size += len(line) + 1 // so that empty lines are bounded too
		for p.nextElement() {
			if !element() {
				return
			}
		}
	}
}

func (p *parser) fault(reason string) {
	if len(p.errs) < MaxErrors {
		p.errs = append(p.errs, &Error{p.line, p.pos + 1, reason})
	}
}

// element parses a parameter, or a challenge up to its first parameter. It returns
// false if there are too many challenges.
func (p *parser) element() bool {
	if p.atParam() {
		p.param()
		return true
	}
	scheme := p.token()
	if scheme == "" || !p.atGap() {
		p.fault("neither a challenge nor a parameter")
		p.skipElement()
		return true
	}
	if len(p.challenges) == MaxChallenges {
		p.pos -= len(scheme)
		p.fault("too many challenges")
		return false
	}
	p.challenge(scheme)
	return true
}

// paramElement is element for a field without challenges.
func (p *parser) paramElement() bool {
	if p.atParam() {
		p.param()
		return true
	}
	p.fault("not a parameter")
	p.skipElement()
	return true
}

// challenge parses what follows an auth-scheme up to the first parameter.
func (p *parser) challenge(scheme string) {
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
	p.skipElement()
}

func (p *parser) last() *Challenge { return &p.challenges[len(p.challenges)-1] }

// param parses the auth-param that atParam has found.
func (p *parser) param() {
	name := strings.ToLower(p.token())
	p.blanks()
	p.pos++ // the equals sign
	p.blanks()
	value, ok := p.value()
	switch {
	case !ok:
	case len(p.challenges) == 0:
		p.fault("parameter before any challenge")
	default:
		p.add(p.last(), name, value)
	}
}

func (p *parser) add(c *Challenge, name, value string) {
	if c.Token68 != "" {
		p.fault("parameter beside a token68")
	}
	if _, ok := c.Params[name]; ok {
		p.fault("parameter given twice")
		return
	}
	if len(c.Params) == MaxParams {
		p.fault("too many parameters")
		return
	}
	if c.Params == nil {
		c.Params = make(map[string]string)
	}
	c.Params[name] = value
}

// value parses the value of a parameter. It returns false if the value can't be
// used.
func (p *parser) value() (string, bool) {
	if p.at('"') {
		return p.quotedString()
	}
	return p.bareValue()
}

func (p *parser) quotedString() (string, bool) {
	start, end := p.pos, p.closingQuote()
	if end < 0 {
		p.fault("quoted string without an end")
		p.pos = start + 1
		p.skipElement()
		return "", false
	}
	p.pos = end + 1
	switch {
	case p.atDelimiter():
	case p.atGap() && p.atElement():
		p.fault("comma missing")
	default:
		p.strayQuote(start, end)
		return "", false
	}
	value, ok := unescape(p.text[start+1 : end])
	if !ok {
		p.fault("control character in a quoted string")
	}
	return value, ok
}

// strayQuote skips a quoted string that is followed by something else than the end
// of the element. Where its second quote is behind an equals sign, this quote begins
// the next quoted string, and the first string has no end. Otherwise there are
// quotes within the string: squid does not escape those of a realm.
func (p *parser) strayQuote(first, second int) {
	p.fault("stray quote")
	if p.text[second-1] == '=' {
		p.pos = first + 1
	}
	p.skipElement()
}

// bareValue parses a token, and what else proxies write without quotes: base64,
// realms with blanks, nothing at all.
func (p *parser) bareValue() (string, bool) {
	start := p.pos
	for !p.done() && !p.at(',') && !p.atSpacedParam() {
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
