package doctor

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-proxyauth/proxyauth"
	words "github.com/go-proxyauth/proxyauth/internal/printable"
)

// printable returns text of a peer or of an error as it may be shown on a terminal.
func printable(text string) string { return words.Text(text) }

// maxLines bounds the lines of one header that are shown.
const maxLines = 100

// bounded returns lines, or the first of many and how many more there are.
func bounded(lines []string) []string {
	if len(lines) <= maxLines {
		return lines
	}
	return append(slices.Clone(lines[:maxLines]), fmt.Sprintf("… and %d more", len(lines)-maxLines))
}

// A secrecy knows what must not be shown, since a proxy or a target may send it back.
type secrecy struct {
	forms []string // in which passwords are sent
	query []string // of the target's URL, which is looked for in headers alone: it may be one letter
}

// hide adds the forms in which a proxy is sent a password.
func (s *secrecy) hide(c proxyauth.Credentials) {
	password := c.Password.Reveal()
	if password == "" {
		return
	}
	pair := c.Username + ":" + password
	s.forms = append(s.forms, password)
	s.forms = append(s.forms, escaped(password)...)
	s.forms = append(s.forms,
		base64.StdEncoding.EncodeToString([]byte(pair)), base64.RawStdEncoding.EncodeToString([]byte(pair)),
		base64.StdEncoding.EncodeToString([]byte(password)))
}

// hideTarget adds what a target's URL has besides host and path.
func (s *secrecy) hideTarget(u *url.URL) {
	if password, ok := u.User.Password(); ok {
		s.hide(proxyauth.Credentials{Username: u.User.Username(), Password: proxyauth.NewSecret(password)})
	}
	if u.RawQuery != "" {
		s.query = append(escaped(u.RawQuery), u.RawQuery)
	}
}

// escaped returns the percent-encoded forms of text.
func escaped(text string) []string {
	form := url.QueryEscape(text)
	return []string{url.PathEscape(text), form, strings.ReplaceAll(form, "+", "%20")}
}

// authorization matches what answers a challenge, from which a password can be guessed at leisure:
// the response of Digest, and the tokens of NTLM and Negotiate, behind the name of the scheme or
// by how they begin ("NTLMSSP" and a 3 in base64, at each of the three places in a group).
var authorization = regexp.MustCompile(`(?i)response.{1,8}?[0-9a-f]{32}` +
	`|(negotiate|ntlm).{1,6}?[a-z0-9+/_-]{40}` +
	`|TlRMTVNTUAAD|5UTE1TU1AAA|OVExNU1NQAAM` +
	`|\b(YII|oYI)[a-z0-9+/_-]{60}`)

const (
	removed  = "[removed]"
	hasToken = "[token]"
)

// clean returns text of a peer, or nothing of it if a secret is part of it: to take out the
// secret alone would show where it was.
func (s secrecy) clean(text string) string {
	if contain(text, s.forms) || authorization.MatchString(text) {
		return removed
	}
	return printable(text)
}

// contain reports whether one of the forms is part of text, whatever the case of its letters.
func contain(text string, forms []string) bool {
	lower := strings.ToLower(text)
	return slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(lower, strings.ToLower(form)) })
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
			case slices.Contains(private, name), contain(value, s.query):
				value = removed
			case name == "Proxy-Authenticate" || name == "Www-Authenticate":
				value = s.challenge(value)
			}
			lines = append(lines, printable(name)+": "+s.clean(value))
		}
	}
	return bounded(lines)
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
