package proxyauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// Declared anew, not imported: a limit that changes is a change of behaviour.
const (
	maxChallenges = 32
	maxParams     = 32
	maxFieldBytes = 128 << 10
	maxFaults     = 16
)

func TestParseChallengesLimits(t *testing.T) {
	numbered := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}

	t.Run("challenges", func(t *testing.T) {
		got, err := proxyauth.ParseChallenges(header(numbered("S%d, ", maxChallenges)))
		require.NoError(t, err)
		require.Len(t, got, maxChallenges)

		got, err = proxyauth.ParseChallenges(header(numbered("S%d, ", 10_000), "Basic"))
		require.ErrorContains(t, err, "too many challenges")
		require.Len(t, got, maxChallenges)
		require.Equal(t, "S31", got[31].Scheme)
	})
	t.Run("parameters", func(t *testing.T) {
		got, err := proxyauth.ParseChallenges(header("Digest " + numbered("p%d=v, ", maxParams)))
		require.NoError(t, err)
		require.Len(t, got[0].Params, maxParams)

		got, err = proxyauth.ParseChallenges(header("Digest "+numbered("p%d=v, ", 5000), "Basic realm=x"))
		require.ErrorContains(t, err, "too many parameters")
		require.Len(t, got, 2)
		require.Len(t, got[0].Params, maxParams)
		require.Equal(t, params{"realm": "x"}, got[1].Params)
	})
	t.Run("bytes", func(t *testing.T) {
		token := strings.Repeat("A", maxFieldBytes-len("Negotiate "))
		got, err := proxyauth.ParseChallenges(header("Negotiate " + token))
		require.NoError(t, err)
		require.Equal(t, token, got[0].Token68)

		got, err = proxyauth.ParseChallenges(header("Negotiate A"+token, "Basic realm=x"))
		require.ErrorContains(t, err, "line 1, byte 1: field too long")
		require.Equal(t, []proxyauth.Challenge{challenge("Basic", params{"realm": "x"})}, got)
	})
	t.Run("errors", func(t *testing.T) {
		_, err := proxyauth.ParseChallenges(header(strings.Repeat("@,", 10_000)))
		require.Len(t, strings.Split(err.Error(), "\n"), maxFaults)
	})
}

func TestParseChallengesAllocations(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, maxFieldBytes/len(s)) }
	for _, tc := range []struct {
		desc, line string
		most       float64
	}{
		// A slice growing to its limit is 6 allocations, so are 16 faults with
		// one for each; joining them adds 2.
		{"commas", fill(","), 2},
		{"blanks", "Basic realm=x" + strings.Repeat(" ", 1<<16) + "y", 16},
		{"schemes", fill("a,"), 16},
		{"schemes with a parameter", fill("a b=c,"), 16 + 2*maxChallenges},
		{"one parameter again and again", "a " + fill("b=c,")[4:], 32},
		{"junk", fill("@,"), 32},
		{"stray quotes", "a " + fill(`b="" c",`)[8:], 32},
		{"open quotes", "a " + fill(`b="c,`)[8:], 32},
		{"escaped open quotes", "a " + fill(`b=\"c,`)[8:], 32},
		{"backslashes", `a b="` + fill(`\`)[8:], 32},
		{"a large escaped value", `a b="` + fill(`\x`)[8:] + `"`, 8},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			h := header(tc.line)
			got := testing.AllocsPerRun(1, func() { proxyauth.ParseChallenges(h) })
			require.LessOrEqual(t, got, tc.most)
		})
	}
}
