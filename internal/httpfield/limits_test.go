package httpfield_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/httpfield"
)

// Declared again, not imported: a limit that changes is a change of behaviour.
const (
	maxChallenges = 128
	maxParams     = 32
	maxBytes      = 128 << 10
	maxErrors     = 16
)

// numbered writes format with the numbers below n.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestChallengesAreBounded(t *testing.T) {
	most := numbered("S%d a=b, ", maxChallenges)
	got, err := httpfield.Challenges([]string{most})
	require.NoError(t, err)
	require.Len(t, got, maxChallenges)

	got, err = httpfield.Challenges([]string{most + "Basic realm=x", "Digest nonce=n"})
	require.ErrorContains(t, err, "line 1, byte 1171: too many challenges")
	require.Len(t, got, maxChallenges)
	require.Equal(t, challenge("S127", params{"a": "b"}), got[127])
}

func TestParamsAreBounded(t *testing.T) {
	most := numbered("p%d=v, ", maxParams)
	got, err := httpfield.Params([]string{most})
	require.NoError(t, err)
	require.Len(t, got, maxParams)

	got, err = httpfield.Params([]string{numbered("p%d=v, ", 5000)})
	require.ErrorContains(t, err, "too many parameters")
	require.Len(t, got, maxParams)

	// The bound is each challenge's own.
	challenges, err := httpfield.Challenges([]string{"Digest " + most + "x=y", "Basic " + most})
	require.ErrorContains(t, err, "too many parameters")
	require.Len(t, challenges, 2)
	require.Len(t, challenges[0].Params, maxParams)
	require.Equal(t, challenges[0].Params, challenges[1].Params)
}

func TestBytesAreBounded(t *testing.T) {
	token := strings.Repeat("A", maxBytes-len("Negotiate "))
	got, err := httpfield.Challenges([]string{"Negotiate " + token})
	require.NoError(t, err)
	require.Equal(t, token, got[0].Token68)

	got, err = httpfield.Challenges([]string{"Negotiate A" + token, "Basic realm=x"})
	require.ErrorContains(t, err, "line 1, byte 1: field too long")
	require.Equal(t, []httpfield.Challenge{challenge("Basic", params{"realm": "x"})}, got)

	empty := make([]string, maxBytes)
	_, err = httpfield.Challenges(empty)
	require.NoError(t, err)
	got, err = httpfield.Challenges(append(empty, "Basic realm=x"))
	require.ErrorContains(t, err, "field too long")
	require.Empty(t, got)
}

func TestErrorsAreBounded(t *testing.T) {
	_, err := httpfield.Challenges([]string{strings.Repeat("@,", 10_000)})
	require.Len(t, strings.Split(err.Error(), "\n"), maxErrors)
}

// What a peer can make the parser allocate has a bound, whatever it sends.
func TestAllocationsAreBounded(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, maxBytes/len(s)) }
	for _, tc := range []struct {
		desc, line string
		most       float64
	}{
		// A slice that grows to its limit is 8 allocations, 16 errors are 16 and 5
		// for their slice; joining them adds 2.
		{"commas", fill(","), 1},
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
			lines := []string{tc.line}
			got := testing.AllocsPerRun(1, func() { httpfield.Challenges(lines) })
			require.LessOrEqual(t, got, tc.most)
		})
	}
}
