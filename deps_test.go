package proxyauth_test

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/go-proxyauth/proxyauth"

// dependencies returns what packages outside the standard library a program links
// that imports the ones given.
func dependencies(t *testing.T, packages ...string) []string {
	t.Helper()
	return dependenciesOn(t, runtime.GOOS, packages...)
}

// dependenciesOn is dependencies for another system.
func dependenciesOn(t *testing.T, system string, packages ...string) []string {
	t.Helper()
	args := append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, packages...)
	list := exec.CommandContext(t.Context(), "go", args...)
	list.Env = append(list.Environ(), "GOOS="+system)
	output, err := list.Output()
	require.NoError(t, err)
	return strings.Fields(string(output))
}

func TestRootNeedsNothingButTheStandardLibrary(t *testing.T) {
	for _, dependency := range dependencies(t, module) {
		require.Truef(t, dependency == module || strings.HasPrefix(dependency, module+"/internal/"), dependency)
	}
}

// A program pays for the schemes that it lists.
func TestSchemesLinkWhatTheyNeed(t *testing.T) {
	require.ElementsMatch(t,
		append(dependencies(t, module), module+"/schemes/basic", module+"/schemes/digest"),
		dependencies(t, module+"/schemes/basic", module+"/schemes/digest"))
	require.NotContains(t, strings.Join(dependencies(t, module+"/schemes/ntlm", module+"/credentials"), " "), "gokrb5")
}

// SSPI comes with the default schemes on Windows, and with nothing else.
func TestSSPIIsLinkedOnWindows(t *testing.T) {
	const sspi, sys = module + "/schemes/negotiate/sspi", "golang.org/x/sys/windows"
	require.Contains(t, dependenciesOn(t, "windows", module+"/schemes"), sspi)
	require.NotContains(t, dependenciesOn(t, "linux", module+"/schemes"), sspi)
	others := dependenciesOn(t, "windows", module+"/schemes/basic", module+"/schemes/digest", module+"/schemes/ntlm", module+"/credentials")
	require.NotContains(t, others, sspi)
	require.NotContains(t, others, module+"/schemes/negotiate")
	require.NotContains(t, others, sys)
}

// The keyring and the terminal are linked by programs that ask for them, as package
// credentials/defaults does.
func TestCredentialsNeedNothingButTheStandardLibrary(t *testing.T) {
	for _, dependency := range dependencies(t, module+"/credentials") {
		require.True(t, strings.HasPrefix(dependency, module), dependency)
	}
}
