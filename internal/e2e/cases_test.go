package e2e_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// The files cases_*_test.go hold what proxies, and the people behind them, were seen to
// do, and what is right then. Not all of it holds today: see [knownFailures].

// holds runs a test of a case in a bubble, beside others. One that is known to fail
// must fail.
func holds(t *testing.T, desc string, f func(t testing.TB)) {
	t.Run(desc, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { judge(t, f) })
	})
}

// holdsAnyhow is holds for what can't be done in a bubble.
func holdsAnyhow(t *testing.T, desc string, f func(t testing.TB)) {
	t.Run(desc, func(t *testing.T) { judge(t, f) })
}

func judge(t *testing.T, f func(t testing.TB)) {
	if !knownFailures[t.Name()] {
		f(t)
		return
	}
	if failureOf(t, f) == "" {
		t.Error("this holds now: take its name out of knownFailures")
	}
}

// eachHolds is holds for forwarded requests and for tunnels.
func eachHolds(t *testing.T, desc string, f func(t testing.TB, w way)) {
	for _, w := range ways {
		holds(t, strings.TrimPrefix(desc+", "+w.desc, ", "), func(t testing.TB) { f(t, w) })
	}
}

// failureOf returns how f fails, or "".
func failureOf(t testing.TB, f func(t testing.TB)) string {
	r := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				r.Errorf("panic: %v", v)
			}
		}()
		f(r)
	}()
	<-done
	if text := r.text.Load(); text != nil {
		return *text
	}
	return ""
}

// A failing test keeps its failure to itself.
type failing struct {
	testing.TB
	text atomic.Pointer[string]
}

func (f *failing) note(text string)               { f.text.CompareAndSwap(nil, &text) }
func (f *failing) Fail()                          { f.note("failed") }
func (f *failing) Failed() bool                   { return f.text.Load() != nil }
func (f *failing) Error(args ...any)              { f.note(fmt.Sprint(args...)) }
func (f *failing) Errorf(text string, arg ...any) { f.note(fmt.Sprintf(text, arg...)) }
func (f *failing) Fatal(args ...any)              { f.Error(args...); f.FailNow() }
func (f *failing) Fatalf(text string, arg ...any) { f.Errorf(text, arg...); f.FailNow() }
func (f *failing) FailNow()                       { f.Fail(); runtime.Goexit() }
func (f *failing) Log(...any)                     {}
func (f *failing) Logf(string, ...any)            {}

// TestFailureOf checks that a mark is noticed when it is out of date.
func TestFailureOf(t *testing.T) {
	t.Parallel()
	require.Empty(t, failureOf(t, func(testing.TB) {}))
	require.Contains(t, failureOf(t, func(t testing.TB) { require.True(t, false); panic("went on") }), "Should be true")
	require.Equal(t, "panic: oh", failureOf(t, func(testing.TB) { panic("oh") }))
}

// requireCauseNamed requires err to be an *Error whose cause has a name with the word.
func requireCauseNamed(t testing.TB, word string, err error) *proxyauth.Error {
	t.Helper()
	e, ok := errors.AsType[*proxyauth.Error](err)
	require.True(t, ok, "%v", err)
	name := strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, fmt.Sprint(e.Cause))
	require.Contains(t, name, word, "%v", e)
	return e
}

// completing returns the legs whose authorization could have completed an exchange.
func (l *lab) completing() (legs []testproxy.Leg) {
	for _, leg := range l.proxy.Legs() {
		if isCompleting(&leg) {
			legs = append(legs, leg)
		}
	}
	return legs
}

// isCompleting matches the legs of completing: all with an authorization but the first
// message of NTLM, also inside Negotiate.
func isCompleting(leg *testproxy.Leg) bool {
	if leg.Scheme != "NTLM" && leg.Scheme != "Negotiate" {
		return leg.Scheme != ""
	}
	_, token, _ := strings.Cut(leg.Header.Get("Proxy-Authorization"), " ")
	message, _ := base64.StdEncoding.DecodeString(token)
	return !bytes.Contains(message, []byte("NTLMSSP\x00\x01"))
}

// eachScheme is eachHolds for Basic, Digest and NTLM.
func eachScheme(t *testing.T, desc string, f func(t testing.TB, m testproxy.Mechanism, w way)) {
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		eachHolds(t, strings.TrimPrefix(desc+", "+scheme, ", "), func(t testing.TB, w way) { f(t, mechanismOf(scheme), w) })
	}
}

// sampleSchemes is eachScheme, in a sample with each scheme in one way, and in the other way
// in the next row of a table.
func sampleSchemes(t *testing.T, row int, desc string, f func(t testing.TB, m testproxy.Mechanism, w way)) {
	for i, scheme := range []string{"Basic", "Digest", "NTLM"} {
		sampleWays(t, row+i, strings.TrimPrefix(desc+", "+scheme, ", "), func(t testing.TB, w way) { f(t, mechanismOf(scheme), w) })
	}
}

// sampleWays is eachHolds, in a sample in one way, and in the other way in the next row of a table.
func sampleWays(t *testing.T, row int, desc string, f func(t testing.TB, w way)) {
	for _, w := range sample.Of(row, ways) {
		holds(t, desc+", "+w.desc, func(t testing.TB) { f(t, w) })
	}
}

// otherHosts are hosts of the one origin, to be put into Config.Hosts.
var otherHosts = func() map[string]string {
	hosts := make(map[string]string)
	for _, name := range []string{deniedHost, freeHost, otherHost(0), otherHost(1), otherHost(2), otherHost(3), otherHost(4)} {
		hosts[name+":80"], hosts[name+":443"] = originHost+":80", originHost+":443"
	}
	return hosts
}()

const deniedHost = "denied.example.com"

func otherHost(n int) string { return fmt.Sprintf("other%d.example.com", n) }

// isFor matches the legs for a host.
func isFor(leg *testproxy.Leg, host string) bool {
	return strings.HasPrefix(strings.TrimPrefix(leg.Target, "http://"), host)
}

// newCaseLab returns a lab that knows otherHosts, with a provider of one password.
func newCaseLab(t testing.TB, password string, auth ...testproxy.Mechanism) (*lab, *witness) {
	l := newLab(t, testproxy.Config{Auth: auth, Hosts: otherHosts})
	w := &witness{answer: always(password)}
	l.rt.Credentials = w
	return l, w
}
