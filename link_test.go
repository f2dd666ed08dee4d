package proxyauth_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// gokrb5 is linked by programs that ask for Negotiate, and go-ntlmssp by those that ask
// for NTLM.
func TestLinkedModules(t *testing.T) {
	const kerberos, ntlm = "github.com/jcmturner/gokrb5/v8/", "github.com/Azure/go-ntlmssp"
	for _, tt := range []struct {
		desc    string
		imports []string
		want    []string // of the two
	}{
		{"Basic and Digest", []string{module + "/schemes/basic", module + "/schemes/digest"}, nil},
		{"NTLM", []string{module + "/schemes/ntlm"}, []string{ntlm}},
		{"the default", []string{module + "/schemes"}, []string{kerberos, ntlm}},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			got := dependencies(t, append(tt.imports, module)...)
			links := func(m string) bool {
				return slices.ContainsFunc(got, func(path string) bool { return strings.HasPrefix(path, m) })
			}
			require.False(t, links("github.com/stretchr/testify"))
			for _, m := range []string{kerberos, ntlm} {
				require.Equal(t, slices.Contains(tt.want, m), links(m), m)
			}
		})
	}
}

// TestReadmeCompiles compiles the lines that the README opens with.
func TestReadmeCompiles(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, text, ok := strings.Cut(string(readme), "```go\n")
	require.True(t, ok)
	text, _, ok = strings.Cut(text, "```")
	require.True(t, ok)
	program := filepath.Join(t.TempDir(), "main.go")
	source := "package main\n" +
		"import (`errors`; `log`; `net/http`; `" + module + "`; `" + module + "/credentials`; `" + module + "/schemes`)\n" +
		"func main() {\n" + text + "}\n"
	require.NoError(t, os.WriteFile(program, []byte(source), 0o600))
	// The file is outside of the module, but the modules are this one's. Linking it would
	// tell no more, and takes a second.
	output, err := exec.CommandContext(t.Context(), "go", "list", "-export", program).CombinedOutput()
	require.NoError(t, err, "%s", output)
}
