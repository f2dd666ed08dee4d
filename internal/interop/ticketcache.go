package interop

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A TicketCache is a cache for the tickets of the tests' user.
type TicketCache struct {
	// Name is what KRB5CCNAME is set to.
	Name string

	// ConfigFile is what KRB5_CONFIG is set to.
	ConfigFile string

	kdcEnv []string
}

// NewTicketCache returns a file that does not exist yet.
func NewTicketCache(t testing.TB, from TicketIssuer) *TicketCache {
	t.Helper()
	return &TicketCache{Name: "FILE:" + filepath.Join(t.TempDir(), "tickets"), ConfigFile: from.configFile(), kdcEnv: from.Env()}
}

// NewKCMCache returns a cache in a daemon: the daemon's default one if name is empty.
func NewKCMCache(t testing.TB, from TicketIssuer, daemon *KCM, name string) *TicketCache {
	t.Helper()
	config := from.configFile() + string(filepath.ListSeparator) + daemon.ConfigFile
	return &TicketCache{Name: "KCM:" + name, ConfigFile: config, kdcEnv: from.Env()}
}

// NewKeyringCache returns a cache of type KEYRING, which is removed at the end of the test:
// name is that of the collection.
func NewKeyringCache(t testing.TB, from TicketIssuer, name string) *TicketCache {
	t.Helper()
	requireKeyrings(t)
	c := &TicketCache{Name: "KEYRING:" + name, ConfigFile: from.configFile(), kdcEnv: from.Env()}
	t.Cleanup(func() {
		c.removeAll(t)
		removeKeyring(name)
	})
	return c
}

// removeAll removes the tickets of the collection, if there are any.
func (c *TicketCache) removeAll(t testing.TB) {
	t.Helper()
	cmd := exec.Command(Program(t, "kdestroy"), "-q", "-A")
	cmd.Env = append(cmd.Environ(), append(c.env(), "KRB5CCNAME="+c.Name)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "kdestroy: %s", out)
}

// Kinit gets a ticket-granting ticket with a password. More arguments of kinit,
// such as a lifetime, may be given.
func (c *TicketCache) Kinit(t testing.TB, a Account, args ...string) {
	t.Helper()
	out, err := c.run(t, a.Password+"\n", "kinit", append(args, "-c", c.Name, a.Username)...)
	require.NoError(t, err, "kinit: %s", out)
}

// KinitExpired gets a ticket-granting ticket as Kinit does, and waits until it has expired.
func (c *TicketCache) KinitExpired(t testing.TB, a Account) {
	t.Helper()
	c.Kinit(t, a, "-l", "1s")
	// Tickets' times are in whole seconds.
	require.Eventually(t, func() bool { return !c.Valid(t) }, 30*time.Second, 50*time.Millisecond)
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

// Kswitch makes the cache of a user the primary one of its collection.
func (c *TicketCache) Kswitch(t testing.TB, a Account) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Program(t, "kswitch"), "-p", a.Username)
	cmd.Env = append(cmd.Environ(), append(c.env(), "KRB5CCNAME="+c.Name)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "kswitch: %s", out)
}

// Add gets a ticket-granting ticket as Kinit does, into a new cache of the collection, which
// becomes the primary one.
func (c *TicketCache) Add(t testing.TB, a Account, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Program(t, "kinit"), append(args, a.Username)...)
	cmd.Env = append(cmd.Environ(), append(c.env(), "KRB5CCNAME="+c.Name)...)
	cmd.Stdin = strings.NewReader(a.Password + "\n")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "kinit: %s", out)
}

// Renew renews the ticket-granting ticket.
func (c *TicketCache) Renew(t testing.TB) {
	t.Helper()
	out, err := c.run(t, "", "kinit", "-R", "-c", c.Name)
	require.NoError(t, err, "kinit -R: %s", out)
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
	cmd.Env = append(cmd.Environ(), c.env()...)
	cmd.Stdin = strings.NewReader(input)
	return cmd.CombinedOutput()
}

func (c *TicketCache) env() []string {
	return append(slices.Clone(c.kdcEnv), "KRB5_CONFIG="+c.ConfigFile)
}
