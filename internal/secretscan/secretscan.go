// Package secretscan finds the passwords of tests, and what is made of them, in what a
// program may print.
package secretscan

import (
	"bytes"
	"crypto/fips140"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"strings"
	"sync"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM's password hash is MD4

	"github.com/go-proxyauth/proxyauth"
)

// Realm is the realm of Digest whose hashes of passwords are looked for.
const Realm = "lab"

// maxFound bounds what is reported: a secret in every line is one mistake.
const maxFound = 20

// A Scanner looks for passwords. It is safe for concurrent use.
type Scanner struct {
	needles map[uint16][]string // by their first bytes, in lower case: an encoding may differ in nothing else
	starts  [1 << 16]bool       // whether there are needles that begin so
	seed    maphash.Seed

	mu    sync.Mutex
	texts int
	found []string
	seen  map[uint64]bool // errors
	clean map[uint64]bool // texts of errors, most of which come many times
}

// New returns a Scanner that looks for the passwords as they are, encoded, and as
// hashes of NTLM and, of the users, of Digest.
func New(users []string, passwords ...string) *Scanner {
	s := &Scanner{seed: maphash.MakeSeed(), clean: make(map[uint64]bool), seen: make(map[uint64]bool), needles: make(map[uint16][]string)}
	s.add(
		"TlRMTVNTUAAD", // of NTLM, which can be cracked
		`response="`, `response=\"`,
	)
	for _, p := range passwords {
		forms := []string{p, utf16LE(p), string(ntHash(p))}
		for _, name := range users {
			fips140.WithoutEnforcement(func() { // which a test may turn on
				forms = append(forms, fmt.Sprintf("%x", md5.Sum([]byte(name+":"+Realm+":"+p)))) // H(A1) of Digest
			})
		}
		for _, form := range forms {
			s.add(form, hex.EncodeToString([]byte(form)))
			for shift := range 3 {
				s.add(inBase64(form, shift))
			}
		}
	}
	return s
}

func (s *Scanner) add(needles ...string) {
	for _, needle := range needles {
		needle = strings.ToLower(needle)
		s.needles[pair(needle)] = append(s.needles[pair(needle)], needle)
		s.starts[pair(needle)] = true
	}
}

// pair returns the first two bytes of s.
func pair(s string) uint16 { return uint16(s[0])<<8 | uint16(s[1]) }

func utf16LE(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		b.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return b.String()
}

func ntHash(password string) []byte {
	h := md4.New()
	h.Write([]byte(utf16LE(password)))
	return h.Sum(nil)
}

// inBase64 returns what is the same in the encodings of all texts that contain s
// behind a number of bytes that leaves the remainder shift when divided by three.
func inBase64(s string, shift int) string {
	text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + s))
	begin := []int{0, 2, 3}[shift]
	return text[begin : len(text)-min((len(s)+shift)%3, 1)]
}

// Text looks through a text and reports whether there is no secret in it.
func (s *Scanner) Text(where, text string) bool {
	needle, found := s.secretIn(strings.ToLower(text))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts++
	if found && len(s.found) < maxFound {
		s.found = append(s.found, fmt.Sprintf("%s: %q in %s", where, needle, text))
	}
	return !found
}

// secretIn returns the first needle in a text. It goes through the text once: logs of
// tests are long, and there are some fifty needles.
func (s *Scanner) secretIn(lower string) (needle string, found bool) {
	for i := range max(len(lower)-1, 0) {
		start := pair(lower[i:])
		if !s.starts[start] {
			continue
		}
		for _, needle := range s.needles[start] {
			if strings.HasPrefix(lower[i:], needle) {
				return needle, true
			}
		}
	}
	return "", false
}

// lookOnce looks through a text that has not been looked through before.
func (s *Scanner) lookOnce(where, text string) {
	hash := maphash.String(s.seed, text)
	s.mu.Lock()
	clean := s.clean[hash]
	s.mu.Unlock()
	if clean || !s.Text(where, text) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean[hash] = true
}

// Error looks through an error in each form in which it is printed, and through the
// hints of all that it wraps. It may be nil.
func (s *Scanner) Error(where string, err error) {
	if err == nil {
		return
	}
	if !s.isNew(err) {
		return
	}
	for how, text := range Printed(err) {
		if !strings.HasPrefix(how, "%x") { // of which the hash of a URL may be part
			s.lookOnce(where+" "+how, text)
		}
	}
	s.hints(where, err)
}

// isNew reports whether no error like err has been looked through: one with its text, and
// that of all that it wraps, but for the numbers in the names of hosts, and of ports.
func (s *Scanner) isNew(err error) bool {
	var b strings.Builder
	chain(&b, err)
	hash := maphash.Bytes(s.seed, numbersAsZero(b.String()))
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.seen[hash]
	s.seen[hash] = true
	return !known
}

// numbersAsZero returns a text with each number of up to five digits as 0. A longer one may
// be part of an encoded secret.
func numbersAsZero(text string) []byte {
	b := make([]byte, 0, len(text))
	digits := 0 // at the end of b
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			digits++
		case 0 < digits && digits <= 5:
			b = append(b[:len(b)-digits], '0')
			fallthrough
		default:
			digits = 0
		}
		b = append(b, text[i])
	}
	return b
}

func chain(b *strings.Builder, err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(b, "%T %s\n", err, err.Error())
	switch wraps := err.(type) {
	case interface{ Unwrap() error }:
		chain(b, wraps.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range wraps.Unwrap() {
			chain(b, err)
		}
	}
}

func (s *Scanner) hints(where string, err error) {
	if e, ok := err.(*proxyauth.Error); ok {
		s.lookOnce(where+" hint", e.Hint())
	}
	switch err := err.(type) {
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			s.hints(where, err)
		}
	case interface{ Unwrap() error }:
		s.hints(where, err.Unwrap())
	}
}

// Logger returns a Logger at Debug that looks through all it is given.
func (s *Scanner) Logger(where string) *slog.Logger {
	return slog.New(slog.NewJSONHandler(scannedLog{s, where}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A scannedLog is what a logger of a Scanner writes to.
type scannedLog struct {
	scanner *Scanner
	where   string
}

func (l scannedLog) Write(b []byte) (int, error) {
	l.scanner.Text(l.where, string(b))
	return len(b), nil
}

// Found returns what was found.
func (s *Scanner) Found() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found
}

// Report takes the exit code of tests, and prints what was found. It returns 1 if there
// is anything, and the code if not.
func (s *Scanner) Report(code int) int {
	found := s.Found()
	if len(found) == 0 {
		return code
	}
	fmt.Fprintf(os.Stderr, "%d secrets are shown:\n\n%s\n", len(found), strings.Join(found, "\n"))
	return 1
}

// Printed returns v in the forms in which programs print values.
func Printed(v any) map[string]string {
	shapes := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shapes[verb] = fmt.Sprintf(verb, v)
		shapes[verb+" in a struct"] = fmt.Sprintf(verb, struct{ inner any }{v})
		shapes[verb+" in a slice"] = fmt.Sprintf(verb, []any{v})
	}
	if text, err := json.Marshal(v); err == nil {
		shapes["JSON"] = string(text)
	}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("", "v", v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("", "v", v)
	shapes["slog"] = b.String()
	return shapes
}
