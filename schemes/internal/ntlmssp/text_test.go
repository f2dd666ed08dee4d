package ntlmssp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/internal/ntlmssp"
)

func TestUpcaseIsThatOfWindows(t *testing.T) {
	for _, tc := range []struct{ desc, in, want string }{
		{"ASCII", "bob-1@Example", "BOB-1@EXAMPLE"},
		{"umlaut", "jörg", "JÖRG"},
		{"Latin Extended-A", "łukašÿ", "ŁUKAŠŸ"},
		{"Cyrillic", "жуковё", "ЖУКОВЁ"},
		{"Greek, final sigma", "αλέξης", "ΑΛΈΞΗΣ"},
		{"digraph", "ǆ", "Ǆ"},
		{"title case stays", "ǅ", "ǅ"},
		{"sharp s stays", "groß", "GROß"},
		{"ligature stays", "ﬁ", "ﬁ"},
		{"dotless i stays", "ısık", "ıSıK"},
		{"micro sign and long s stay", "µſ", "µſ"},
		{"Greek symbol stays", "ϐ", "ϐ"},
		{"Georgian stays", "გიორგი", "გიორგი"},
		{"Cherokee stays", "ꭰᏸ", "ꭰᏸ"},
		{"beyond the Basic Multilingual Plane stays", "𐐨", "𐐨"},
		{"no case", "李雷", "李雷"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			require.Equal(t, tc.want, ntlmssp.Upcase(tc.in))
		})
	}
}
