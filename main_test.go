package proxyauth_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/leaktest"
)

// TestMain fails if the tests leave goroutines behind: the library's, the test
// proxy's, or net/http's connections, which the cleanup of a test has to close; or
// if there is a secret in what has been logged and in the errors.
func TestMain(m *testing.M) {
	code := leaktest.Run(m)
	if found := scanned.report(); len(found) > 0 {
		fmt.Fprintf(os.Stderr, "%d secrets are shown:\n\n%s\n", len(found), strings.Join(found, "\n"))
		code = 1
	}
	os.Exit(code)
}
