package proxyauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

// numbered returns format with each of the numbers below n.
func numbered(format string, n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf(format, i)
	}
	return texts
}

func TestParseChallengesLimits(t *testing.T) {
	for _, tc := range []struct {
		desc  string
		lines []string
		want  int
		fault string
	}{
		{desc: "most challenges", lines: numbered("S%d", 128), want: 128},
		{desc: "too many challenges", lines: numbered("S%d", 10_000), want: 128, fault: "line 129, byte 1: too many challenges"},
		{desc: "most parameters", lines: append([]string{"Digest"}, numbered("p%d=v", 32)...), want: 1},
		{desc: "too many parameters", lines: append([]string{"Digest"}, numbered("p%d=v", 33)...), want: 1, fault: "too many parameters"},
		{desc: "most bytes", lines: []string{"NTLM " + strings.Repeat("A", 128<<10-5)}, want: 1},
		{desc: "too many bytes", lines: []string{"NTLM " + strings.Repeat("A", 128<<10-4)}, fault: "field too long"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			got, err := proxyauth.ParseChallenges(header(tc.lines...))
			require.Len(t, got, tc.want)
			for _, c := range got {
				require.LessOrEqual(t, len(c.Params), 32)
			}
			if tc.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.fault)
		})
	}
}

func TestKnownSchemeBehindManyUnknownOnesIsFound(t *testing.T) {
	lines := append(numbered(`X-%d realm="x"`, 100), `Basic realm="lab"`)
	for desc, h := range map[string]http.Header{
		"one line":   header(strings.Join(lines, ", ")),
		"many lines": header(lines...),
	} {
		t.Run(desc, func(t *testing.T) {
			got, err := proxyauth.ParseChallenges(h)
			require.NoError(t, err)
			require.Len(t, got, 101)
			require.Equal(t, proxyauth.Challenge{Scheme: "Basic", Params: map[string]string{"realm": "lab"}}, got[100])
		})
	}
}
