// ML-KEM would take half of the time of the handshakes, of which these tests make many.
//
//go:debug tlsmlkem=0
package e2e_test

import (
	"hash/fnv"
	"log/slog"
	"os"
	"runtime/debug"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/leaktest"
	"github.com/go-proxyauth/proxyauth/internal/sample"
	"github.com/go-proxyauth/proxyauth/internal/secretscan"
)

// TestMain keeps this machine's Kerberos out of the tests. It fails if they leave
// goroutines behind: the library's, the test proxy's, or net/http's connections, which
// the cleanup of a test has to close; or if there is a secret in what has been logged and
// in the errors.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"KRB5_CONFIG": os.DevNull, "KRB5CCNAME": "FILE:/nonexistent", "KRB5_CLIENT_KTNAME": ""} {
		os.Setenv(name, value)
	}
	debug.SetGCPercent(-1) // a quarter of the time went into collecting small heaps
	debug.SetMemoryLimit(256 << 20)
	os.Exit(scanned.Report(leaktest.Run(m)))
}

// manyCallers is how many callers begin at once.
func manyCallers() int { return sample.Size(100, 1000) }

// scanned looks for the passwords of the labs in all that the tests get to see.
var scanned = secretscan.New([]string{user, "bob"}, password, wrongPassword)

// scannedLogger returns a Logger, which is a trace as well, that looks for secrets in
// all it is given. It is for every other test, as its name falls, and for the rest of
// them under the race detector: the others have no Trace, as most programs.
func scannedLogger(t testing.TB) *slog.Logger {
	h := fnv.New32a()
	h.Write([]byte(t.Name()))
	if (h.Sum32()%2 == 0) != raceEnabled {
		return nil
	}
	return scanned.Logger(t.Name())
}
