package proxyauth_test

import (
	"os/exec"
	"runtime"
	"slices"
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
	all := importsOf(t, system)
	var found []string
	for _, p := range packages {
		require.Contains(t, all, p)
		found = append(append(found, p), all[p]...)
	}
	found = slices.DeleteFunc(found, func(path string) bool {
		first, _, _ := strings.Cut(path, "/")
		return !strings.Contains(first, ".") // the standard library
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// listed has what importsOf returns for each system, since go list takes a while.
var listed = map[string]map[string][]string{}

// importsOf returns the packages of the module on a system, with all that they import.
func importsOf(t *testing.T, system string) map[string][]string {
	t.Helper()
	if listed[system] != nil {
		return listed[system]
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"/...")
	list.Env = append(list.Environ(), "GOOS="+system)
	output, err := list.Output()
	require.NoError(t, err)
	all := map[string][]string{}
	for line := range strings.Lines(string(output)) {
		paths := strings.Fields(line)
		all[paths[0]] = paths[1:]
	}
	listed[system] = all
	return all
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
