package interop

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A KDCExchange is one request to a KDC and its answer, as the KDC's log has it.
type KDCExchange struct {
	// Kind is "AS" for a ticket-granting ticket, "TGS" for a service's.
	Kind string

	// Outcome is "ISSUE" where a ticket was issued. "NEEDED_PREAUTH" asks for
	// proof of the password, "PREAUTH_FAILED" is what counts towards a lockout.
	Outcome string

	// Client and Service are principals with their realms.
	Client, Service string
}

// What precedes the outcome are encryption types and the client's address, what
// follows it depends on it.
var kdcLogLine = regexp.MustCompile(`: (AS|TGS)_REQ \(.*\) \S+: ([A-Z_]+): .*?(\S+@\S+) for (\S+@[^\s,]+)`)

// Exchanges returns what the KDC has answered so far. What a client has an answer
// to is in the log.
func (k *KDC) Exchanges(t testing.TB) []KDCExchange {
	t.Helper()
	content, err := os.ReadFile(k.dir.Path(kdcLog))
	require.NoError(t, err)
	var exchanges []KDCExchange
	for line := range strings.Lines(string(content)) {
		if m := kdcLogLine.FindStringSubmatch(line); m != nil {
			exchanges = append(exchanges, KDCExchange{Kind: m[1], Outcome: m[2], Client: m[3], Service: m[4]})
		}
	}
	return exchanges
}

// Issued returns the tickets of a kind that the KDC has issued.
func (k *KDC) Issued(t testing.TB, kind string) []KDCExchange {
	t.Helper()
	return slices.DeleteFunc(k.Exchanges(t), func(x KDCExchange) bool {
		return x.Kind != kind || x.Outcome != "ISSUE"
	})
}

// PreauthFailures returns how often the KDC was sent a wrong password.
func (k *KDC) PreauthFailures(t testing.TB) (n int) {
	t.Helper()
	for _, x := range k.Exchanges(t) {
		if x.Outcome == "PREAUTH_FAILED" {
			n++
		}
	}
	return n
}
