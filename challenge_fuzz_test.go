package proxyauth_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// serialise writes a challenge as the grammar has it.
func serialise(c proxyauth.Challenge) string {
	var elements []string
	if c.Token68 != "" {
		elements = append(elements, c.Token68)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		elements = append(elements, name+`="`+quoting.Replace(c.Params[name])+`"`)
	}
	return strings.TrimSuffix(c.Scheme+" "+strings.Join(elements, ", "), " ")
}

func addChallengeSeeds(f *testing.F) {
	for _, tc := range challengeCases {
		f.Add(strings.Join(tc.lines, "\n"))
	}
}

// FuzzChallengesSurviveSerialisation parses what it has parsed and written anew,
// in one line and in several.
func FuzzChallengesSurviveSerialisation(f *testing.F) {
	addChallengeSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxFieldBytes/4 {
			t.Skip() // writing it anew may take it over the limit
		}
		first, _ := proxyauth.ParseChallenges(header(strings.Split(text, "\n")...))
		var lines []string
		for _, c := range first {
			lines = append(lines, serialise(c))
		}
		for _, h := range []http.Header{header(lines...), header(strings.Join(lines, ", "))} {
			second, err := proxyauth.ParseChallenges(h)
			requireSound(t, first, second, err)
		}
	})
}

// requireSound accepts one fault only, which the writing can't mend: a challenge
// with a token68 and parameters.
func requireSound(t *testing.T, first, second []proxyauth.Challenge, err error) {
	t.Helper()
	mixed := func(c proxyauth.Challenge) bool { return c.Token68 != "" && c.Params != nil }
	if !slices.ContainsFunc(first, mixed) {
		require.NoError(t, err)
	}
	require.Equal(t, first, second)
}

// FuzzChallengesAreClean checks what users of a challenge rely on.
func FuzzChallengesAreClean(f *testing.F) {
	addChallengeSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		got, _ := proxyauth.ParseChallenges(header(strings.Split(text, "\n")...))
		require.LessOrEqual(t, len(got), maxChallenges)
		for _, c := range got {
			require.NotEmpty(t, c.Scheme)
			require.LessOrEqual(t, len(c.Params), maxParams)
			for name, value := range c.Params {
				require.NotEmpty(t, name)
				require.Equal(t, strings.ToLower(name), name)
				require.False(t, strings.ContainsFunc(value, isControl), "%q", value)
			}
		}
	})
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
