package doctor

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/go-proxyauth/proxyauth"
)

// maxText bounds a text of the peer's.
const maxText = 1 << 10

// printable returns text of a peer or of an error as it may be shown on a terminal.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// A secrecy knows what must not be shown, since a proxy may send it back.
type secrecy []string

// hide adds the forms in which a proxy is sent a password.
func (s *secrecy) hide(c proxyauth.Credentials) {
	password := c.Password.Reveal()
	if password == "" {
		return
	}
	pair := c.Username + ":" + password
	*s = append(*s, password, url.PathEscape(password), url.QueryEscape(password),
		base64.StdEncoding.EncodeToString([]byte(pair)), base64.RawStdEncoding.EncodeToString([]byte(pair)),
		base64.StdEncoding.EncodeToString([]byte(password)))
}

const (
	removed  = "[removed]"
	hasToken = "[token]"
)

// clean returns text of a peer, or nothing of it if a secret is part of it: to take out the
// secret alone would show where it was.
func (s secrecy) clean(text string) string {
	lower := strings.ToLower(text)
	if slices.ContainsFunc(s, func(form string) bool { return strings.Contains(lower, strings.ToLower(form)) }) {
		return removed
	}
	return printable(text)
}

// private are the fields whose values are not shown.
var private = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "Authentication-Info", "Proxy-Authentication-Info",
}

// header returns the lines of h without secrets.
func (s secrecy) header(h http.Header) (lines []string) {
	var names []string
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			switch {
			case slices.Contains(private, name):
				value = removed
			case name == "Proxy-Authenticate" || name == "Www-Authenticate":
				value = s.challenge(value)
			}
			lines = append(lines, printable(name)+": "+s.clean(value))
		}
	}
	return lines
}

// challenge returns a line of challenges without the tokens of a handshake.
func (s secrecy) challenge(line string) string {
	for _, c := range parsed(line) {
		if c.Token68 != "" {
			line = strings.ReplaceAll(line, c.Token68, hasToken)
		}
	}
	return s.clean(line)
}

// parsed returns the challenges in a line.
func parsed(lines ...string) []proxyauth.Challenge {
	challenges, _ := proxyauth.ParseChallenges(http.Header{"Proxy-Authenticate": lines})
	return challenges
}
