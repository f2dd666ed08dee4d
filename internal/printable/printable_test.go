package printable_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/printable"
)

func TestTextHasNoControls(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a?b?[31mc?", printable.Text("a\nb\x1b[31mc\xff"))
	require.Equal(t, "Straße 東", printable.Text("Straße 東"))
	long := printable.Text(strings.Repeat("é", 1<<10))
	require.Equal(t, strings.Repeat("é", 1<<9)+"…", long)
	require.Equal(t, strings.Repeat("é", 511)+"…", strings.TrimPrefix(printable.Text("a"+strings.Repeat("é", 1<<10)), "a"), "not cut within a rune")
}

func TestList(t *testing.T) {
	t.Parallel()
	names := []string{"NTLM", "NTLM", "Basic\r"}
	require.Equal(t, "NTLM, Basic?", printable.List(names))
	require.Equal(t, []string{"NTLM", "NTLM", "Basic\r"}, names)
	require.Equal(t, "none", printable.List(nil))
}

func TestUnprefixed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a":                       "a",
		"x: a":                    "a",
		"x: a: x: b":              "a: b",
		"x: a\nx: b":              "a; b",
		"x: a (x: b; x: c)":       "a (b; c)",
		"what is in max: a stays": "what is in max: a stays",
	} {
		require.Equal(t, want, printable.Unprefixed("x: ", text))
	}
}
