package proxyauth_test

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLinkedModules builds programs and looks into them: gokrb5 is linked by those
// that ask for Negotiate, and go-ntlmssp by those that ask for NTLM.
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

// TestReadmeCompiles builds the lines that the README opens with.
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

// linkedModules builds a program and returns the modules that it is made of.
func linkedModules(t *testing.T, source string) []string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	program := filepath.Join(dir, "program.exe")
	// The file is outside of the module, but the modules are this one's.
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, filepath.Join(dir, "main.go")).CombinedOutput()
	require.NoError(t, err, "%s", output)
	info, err := buildinfo.ReadFile(program)
	require.NoError(t, err)
	var modules []string
	for _, m := range append(info.Deps, &info.Main) {
		modules = append(modules, m.Path)
	}
	require.Contains(t, modules, module, "nothing was looked at")
	return modules
}
