package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

// legs requires the legs since the last call. Each is written as
//
//	GET /a Basic -> 200
//
// with the request line, the scheme of Proxy-Authorization if there is one, and what
// became of it; without "http://origin.example.com" and "origin.example.com:443".
//
// A leg of a forwarded handshake that does not end it is "open NTLM -> 407", whether it
// is the request itself, or a GET that the library adds, of whatever URL.
//
// Which connection a leg takes is stated only where it matters: "= " before it says the
// one of the leg before, and "+ " another one.
func (l *lab) legs(want ...string) {
	l.t.Helper()
	got := l.proxy.Legs()
	if !l.match(got, want) {
		require.Equal(l.t, want, l.proxy.Transcript())
		l.t.Errorf("the connections are others: %q, want %q", l.proxy.Transcript(), want)
	}
	if len(got) > 0 {
		l.lastConn = got[len(got)-1].Conn
	}
	require.Empty(l.t, l.proxy.Violations())
	l.proxy.Reset()
}

// match compares legs as legs does.
func (l *lab) match(got []testproxy.Leg, want []string) bool {
	conn := l.lastConn
	return slices.EqualFunc(got, want, func(leg testproxy.Leg, line string) bool {
		line, same := strings.CutPrefix(line, "= ")
		line, other := strings.CutPrefix(line, "+ ")
		before := conn
		conn = leg.Conn
		return line == lineOfLeg(&leg) && (!same || conn == before) && (!other || conn != before)
	})
}

// lineOfLeg writes a leg as lab.legs does.
func lineOfLeg(leg *testproxy.Leg) string {
	if opens(leg) {
		return fmt.Sprintf("open %s -> %d", leg.Scheme, leg.Status)
	}
	_, line, _ := strings.Cut(leg.String(), " ")
	line = strings.ReplaceAll(line, httpOrigin, "")
	return strings.ReplaceAll(line, " "+originHost+":443", "")
}

// opens reports whether a leg is one of a forwarded handshake that goes on, or that is
// refused before its end.
func opens(leg *testproxy.Leg) bool {
	bound := leg.Scheme == "NTLM" || leg.Scheme == "Negotiate"
	last := strings.HasPrefix(leg.Header.Get("Proxy-Authorization"), authenticateToken)
	return bound && !last && leg.Method == http.MethodGet && leg.Status == http.StatusProxyAuthRequired
}

// shapes returns the legs since the last call, as legs compares them.
func (l *lab) shapes() []string {
	l.t.Helper()
	var lines []string
	for _, leg := range l.proxy.Legs() {
		lines = append(lines, lineOfLeg(&leg))
	}
	require.Empty(l.t, l.proxy.Violations())
	l.proxy.Reset()
	return lines
}
