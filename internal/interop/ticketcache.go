package interop

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A TicketCache is a file for the tickets of the tests' user.
type TicketCache struct {
	// Name is what KRB5CCNAME is set to.
	Name string

	kdc *KDC
}

// NewTicketCache returns a cache that does not exist yet.
func (k *KDC) NewTicketCache(t testing.TB) *TicketCache {
	t.Helper()
	return &TicketCache{Name: "FILE:" + filepath.Join(t.TempDir(), "tickets"), kdc: k}
}

// Kinit gets a ticket-granting ticket with a password. More arguments of kinit,
// such as a lifetime, may be given.
func (c *TicketCache) Kinit(t testing.TB, a Account, args ...string) {
	t.Helper()
	out, err := c.run(t, a.Password+"\n", "kinit", append(args, "-c", c.Name, a.Username)...)
	require.NoError(t, err, "kinit: %s", out)
}

// GetProxyTicket gets a ticket for the proxies' service, as a browser does.
func (c *TicketCache) GetProxyTicket(t testing.TB) {
	t.Helper()
	out, err := c.run(t, "", "kvno", "-c", c.Name, proxyService)
	require.NoError(t, err, "kvno: %s", out)
}

// Kdestroy removes the tickets.
func (c *TicketCache) Kdestroy(t testing.TB) {
	t.Helper()
	out, err := c.run(t, "", "kdestroy", "-c", c.Name)
	require.NoError(t, err, "kdestroy: %s", out)
}

// Valid reports whether klist finds a ticket-granting ticket that has not
// expired.
func (c *TicketCache) Valid(t testing.TB) bool {
	t.Helper()
	_, err := c.run(t, "", "klist", "-s", "-c", c.Name)
	return err == nil
}

func (c *TicketCache) run(t testing.TB, input, program string, args ...string) (output []byte, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Program(t, program), args...)
	cmd.Env = append(cmd.Environ(), c.kdc.Env()...)
	cmd.Stdin = strings.NewReader(input)
	return cmd.CombinedOutput()
}
