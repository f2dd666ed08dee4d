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
	t.Parallel()
	const kerberos, ntlm = "github.com/jcmturner/gokrb5/v8", "github.com/Azure/go-ntlmssp"
	for _, tt := range []struct {
		desc    string
		imports string
		list    string
		want    []string // of the two
	}{
		{
			desc:    "Basic and Digest",
			imports: `"` + module + `/schemes/basic"; "` + module + `/schemes/digest"`,
			list:    `[]proxyauth.Scheme{&digest.Scheme{}, &basic.Scheme{}}`,
		},
		{
			desc:    "NTLM",
			imports: `"` + module + `/schemes/ntlm"`,
			list:    `[]proxyauth.Scheme{&ntlm.Scheme{}}`,
			want:    []string{ntlm},
		},
		{
			desc:    "the default",
			imports: `"` + module + `/schemes"`,
			list:    `schemes.Default()`,
			want:    []string{kerberos, ntlm},
		},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			got := linkedModules(t, "package main\n"+
				"import (`net/http`; `"+module+"`; "+tt.imports+")\n"+
				"func main() {\n"+
				"	(&http.Client{Transport: &proxyauth.Transport{Schemes: "+tt.list+"}}).Get(`http://origin.example.com/`)\n"+
				"}\n")
			require.NotContains(t, got, "github.com/stretchr/testify")
			for _, m := range []string{kerberos, ntlm} {
				require.Equal(t, slices.Contains(tt.want, m), slices.Contains(got, m), m)
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
	linkedModules(t, "package main\n"+
		"import (`errors`; `log`; `net/http`; `"+module+"`; `"+module+"/credentials`; `"+module+"/schemes`)\n"+
		"func main() {\n"+text+"}\n")
}

// linkedModules compiles a program and returns the modules of the packages that it
// links.
func linkedModules(t *testing.T, source string) []string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(program, []byte(source), 0o600))
	// The file is outside of the module, but the modules are this one's. Linking it would
	// tell no more, and takes a second.
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-export", "-f", "{{with .Module}}{{.Path}}{{end}}", program)
	var stderr strings.Builder
	list.Stderr = &stderr
	output, err := list.Output()
	require.NoError(t, err, "%s", &stderr)
	modules := strings.Fields(string(output))
	require.Contains(t, modules, module, "nothing was looked at")
	return modules
}
