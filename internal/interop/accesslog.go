package interop

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Leg is one request to a proxy and its answer, as the proxy's access log has
// it.
type Leg struct {
	Status int
	Method string
	Target string

	// Conn is the client's port, which tells connections apart.
	Conn string

	// Authorized says whether the request carried Proxy-Authorization.
	Authorized bool
}

// Both squid and Apache log the fields of a Leg in this order, with a tab
// between them and a dash for a header that is missing.
const (
	accessLogName = "access.log"
	legFields     = 5
)

// Legs returns the legs that the access log holds so far, in the order in which
// they ended: of a tunnel, this is when it is closed. A leg may be logged after
// the client has its answer, so that only the log of a stopped proxy is complete.
// tinyproxy has no such log.
func (p *Proxy) Legs(t testing.TB) []Leg {
	t.Helper()
	content, err := os.ReadFile(p.accessLog)
	require.NoError(t, err)
	var legs []Leg
	for line := range strings.Lines(string(content)) {
		// The last line may be half written.
		if leg, ok := parseLeg(line); ok {
			legs = append(legs, leg)
		}
	}
	return legs
}

// Challenged returns the legs that were answered with 407.
func (p *Proxy) Challenged(t testing.TB) []Leg {
	t.Helper()
	return slices.DeleteFunc(p.Legs(t), func(leg Leg) bool { return leg.Status != 407 })
}

func parseLeg(line string) (Leg, bool) {
	line, complete := strings.CutSuffix(line, "\n")
	fields := strings.SplitN(line, "\t", legFields)
	if !complete || len(fields) != legFields {
		return Leg{}, false
	}
	status, err := strconv.Atoi(fields[0])
	// squid logs a connection without a request with the status 0.
	if err != nil || status == 0 {
		return Leg{}, false
	}
	return Leg{
		Status:     status,
		Method:     fields[1],
		Target:     fields[2],
		Conn:       fields[3],
		Authorized: fields[4] != "-",
	}, true
}
