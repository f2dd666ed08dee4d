package proxyauth_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails if the tests leave goroutines behind: the library's, the test
// proxy's, or net/http's connections, which the cleanup of a test has to close; or
// if there is a secret in what has been logged and in the errors.
func TestMain(m *testing.M) {
	code := m.Run()
	if found := scanned.report(); len(found) > 0 {
		fmt.Fprintf(os.Stderr, "%d secrets are shown:\n\n%s\n", len(found), strings.Join(found, "\n"))
		code = 1
	}
	if left := leaked(); code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines leaked:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of the goroutines that do not end by themselves
// within a while.
func leaked() []string {
	var left []string
	for range 1000 {
		if left = ours(); len(left) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

// ours returns the stacks of the goroutines of this module and of net/http,
// without the one that asks.
func ours() []string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	var left []string
	for _, stack := range stacks[1:] {
		if strings.Contains(stack, "go-proxyauth/proxyauth") || strings.Contains(stack, "net/http.") {
			left = append(left, stack)
		}
	}
	return left
}
