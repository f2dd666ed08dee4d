package httpfield_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/httpfield"
)

var quoting = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// serialise writes a challenge as the grammar demands.
func serialise(c httpfield.Challenge) string {
	elements := serialiseParams(c.Params)
	if c.Token68 != "" {
		elements = append([]string{c.Token68}, elements...)
	}
	return strings.TrimSuffix(c.Scheme+" "+strings.Join(elements, ", "), " ")
}

func serialiseParams(p params) (elements []string) {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		elements = append(elements, name+`="`+quoting.Replace(p[name])+`"`)
	}
	return elements
}

func addChallengeSeeds(f *testing.F) {
	for _, tc := range challengeCases {
		f.Add(strings.Join(tc.lines, "\n"))
	}
}

// FuzzChallengesSurviveSerialisation parses challenges, writes them and parses them
// again, in one line and in several.
func FuzzChallengesSurviveSerialisation(f *testing.F) {
	addChallengeSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxBytes/4 {
			t.Skip() // serialised, it may be too long
		}
		first, _ := httpfield.Challenges(strings.Split(text, "\n"))
		var lines []string
		for _, c := range first {
			lines = append(lines, serialise(c))
		}
		for _, lines := range [][]string{lines, {strings.Join(lines, ", ")}} {
			second, err := httpfield.Challenges(lines)
			requireSound(t, first, second, err)
		}
	})
}

// requireSound accepts only the fault that serialising can't mend: a challenge with a
// token68 and parameters.
func requireSound(t *testing.T, first, second []httpfield.Challenge, err error) {
	t.Helper()
	mixed := func(c httpfield.Challenge) bool { return c.Token68 != "" && c.Params != nil }
	if !slices.ContainsFunc(first, mixed) {
		require.NoError(t, err)
	}
	require.Equal(t, first, second)
}

// FuzzChallengesAreClean checks what the users of a challenge rely on.
func FuzzChallengesAreClean(f *testing.F) {
	addChallengeSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		got, _ := httpfield.Challenges(strings.Split(text, "\n"))
		require.LessOrEqual(t, len(got), maxChallenges)
		for _, c := range got {
			require.NotEmpty(t, c.Scheme)
			requireClean(t, c.Params)
		}
	})
}

func requireClean(t *testing.T, p params) {
	t.Helper()
	if p != nil {
		require.NotEmpty(t, p)
	}
	require.LessOrEqual(t, len(p), maxParams)
	for name, value := range p {
		require.NotEmpty(t, name)
		require.Equal(t, strings.ToLower(name), name)
		require.False(t, strings.ContainsFunc(value, isControl), "%q", value)
	}
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// FuzzParamsAreClean checks what the users of parameters rely on, and that they
// survive being written and parsed again.
func FuzzParamsAreClean(f *testing.F) {
	for _, text := range []string{
		`nextnonce="a", rspauth="b", qop=auth, nc=00000001`, `a="b\"c", a=d`, "a=b\nc=\"d", `="x", a`, `Digest a=b`, "a=\x00", `a="` + strings.Repeat("x", 300) + `"`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, _ := httpfield.Params(strings.Split(text, "\n"))
		requireClean(t, got)
		if len(text) > maxBytes/4 {
			t.Skip() // serialised, it may be too long
		}
		again, err := httpfield.Params([]string{strings.Join(serialiseParams(got), ", ")})
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
