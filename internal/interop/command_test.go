package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
)

// On Windows, what a credential helper has started ends with it.
func TestCommandOfWindows(t *testing.T) {
	wine := interop.NewWine(t)
	binary := filepath.Join(t.TempDir(), "credentials.test.exe")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, "github.com/go-proxyauth/proxyauth/credentials")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	output, err = wine.Command(t, nil, binary, "-test.v", "-test.run=^TestCommandEndsWithAllThatItHasStarted$").CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: TestCommandEndsWithAllThatItHasStarted")
}
