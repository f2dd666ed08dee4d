package proxyauth_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM's password hash is MD4

	"github.com/go-proxyauth/proxyauth"
)

// A secretScanner looks through what a program may print for the passwords of the
// labs, and for what is made of them. TestMain fails if scanned has found any.
type secretScanner struct {
	needles []string // in lower case: an encoding may differ in nothing else
	seed    maphash.Seed

	mu    sync.Mutex
	texts int
	found []string
	clean map[uint64]bool // texts of errors, most of which come many times
}

var scanned = newSecretScanner(password, wrongPassword)

// maxFound bounds what is reported: a secret in every line is one mistake.
const maxFound = 20

func newSecretScanner(passwords ...string) *secretScanner {
	s := &secretScanner{seed: maphash.MakeSeed(), clean: make(map[uint64]bool), needles: []string{
		strings.ToLower(strings.TrimPrefix(authenticateToken, "NTLM ")), // can be cracked
		`response="`, `response=\"`,
	}}
	for _, p := range passwords {
		forms := []string{p, utf16LE(p), string(ntHash(p))}
		for _, name := range []string{user, "bob"} {
			forms = append(forms, fmt.Sprintf("%x", md5.Sum([]byte(name+":lab:"+p)))) // H(A1) of Digest
		}
		for _, form := range forms {
			s.needles = append(s.needles, strings.ToLower(form), hex.EncodeToString([]byte(form)))
			for shift := range 3 {
				s.needles = append(s.needles, strings.ToLower(inBase64(form, shift)))
			}
		}
	}
	return s
}

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

// look looks through a text and reports whether there is no secret in it.
func (s *secretScanner) look(where, text string) bool {
	lower := strings.ToLower(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts++
	for _, needle := range s.needles {
		if strings.Contains(lower, needle) {
			if len(s.found) < maxFound {
				s.found = append(s.found, fmt.Sprintf("%s: %q in %s", where, needle, text))
			}
			return false
		}
	}
	return true
}

// lookOnce looks through a text that has not been looked through before.
func (s *secretScanner) lookOnce(where, text string) {
	hash := maphash.String(s.seed, text)
	s.mu.Lock()
	clean := s.clean[hash]
	s.mu.Unlock()
	if clean || !s.look(where, text) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean[hash] = true
}

// err looks through an error in each form in which it is printed, and through the
// hints of all that it wraps.
func (s *secretScanner) err(where string, err error) {
	if err == nil {
		return
	}
	for how, text := range printed(err) {
		if !strings.HasPrefix(how, "%x") { // of which the hash of a URL may be part
			s.lookOnce(where+" "+how, text)
		}
	}
	s.hints(where, err)
}

func (s *secretScanner) hints(where string, err error) {
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

// logger returns a Logger at Debug, which is a trace as well, that looks through
// all it is given. It is for every other test, as its name falls, and for the rest
// of them under the race detector: the others have no Trace, as most programs.
func (s *secretScanner) logger(t testing.TB) *slog.Logger {
	h := fnv.New32a()
	h.Write([]byte(t.Name()))
	if (h.Sum32()%2 == 0) != raceEnabled {
		return nil
	}
	return s.everything(t)
}

// everything returns the Logger of a test that is never without.
func (s *secretScanner) everything(t testing.TB) *slog.Logger {
	return slog.New(slog.NewJSONHandler(scannedLog{s, t.Name()}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A scannedLog is what a logger of a scanner writes to.
type scannedLog struct {
	scanner *secretScanner
	where   string
}

func (l scannedLog) Write(b []byte) (int, error) {
	l.scanner.look(l.where, string(b))
	return len(b), nil
}

// report returns what was found.
func (s *secretScanner) report() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found
}

// TestSecretScanner finds what it is to find, and nothing else.
func TestSecretScanner(t *testing.T) {
	s := newSecretScanner(password)
	for _, text := range []string{
		"password is s3cret.", "S3CRET", "733363726574",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann:s3cret")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann2:s3cret ")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte("ann22:s3cret  ")),
		fmt.Sprintf("%x", ntHash(password)), base64.StdEncoding.EncodeToString(ntHash(password)),
		base64.StdEncoding.EncodeToString([]byte(utf16LE("s3cret"))),
		fmt.Sprintf("%x", md5.Sum([]byte("ann:lab:s3cret"))),
		authenticateToken + "AAAA", `Digest response="6629fae49393a05397450978507c4ef1"`,
	} {
		require.False(t, s.look("here", text), text)
	}
	require.Len(t, s.report(), 12)
	for _, text := range []string{"", "secret", negotiateToken, "Basic Zm9vOmJhcg==", `{"scheme":"Basic","error":"proxyauth: credentials rejected"}`} {
		require.True(t, s.look("here", text), text)
	}
	require.Len(t, s.report(), 12)
	require.Equal(t, 17, s.texts)
	s.err("here", fmt.Errorf("wrapped: %w", fmt.Errorf("%s", password)))
	require.Greater(t, len(s.report()), 12)

	s = newSecretScanner(password)
	rule := fmt.Errorf("%w: "+password, proxyauth.ErrForbidden)
	inner := &proxyauth.Error{Cause: proxyauth.PolicyForbids, Err: rule}
	for _, err := range []error{inner, fmt.Errorf("wrapped: %w", inner), &proxyauth.Error{Err: inner}, errors.Join(errors.New("one"), inner)} {
		before := len(s.report())
		s.hints("here", err)
		require.Len(t, s.report(), before+1)
	}
	s.hints("here", &proxyauth.Error{Cause: proxyauth.ProxyFailed})
	require.Len(t, s.report(), 4)
}
