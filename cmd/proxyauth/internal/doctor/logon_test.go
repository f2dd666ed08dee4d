package doctor

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A logon is the engine of a system, with the tickets of whoever is logged in.
type logon struct {
	ticket bool
	open   int
}

func (l *logon) NewContext(_ context.Context, t negotiate.Target) (negotiate.Context, error) {
	if !l.ticket || t.User != "" {
		return nil, fmt.Errorf("logon: %w", negotiate.NoTicket)
	}
	l.open++
	return l, nil
}

func (*logon) Describe() string { return `logged in as LAB\ann` }

func (*logon) Step(context.Context, []byte) ([]byte, bool, error) { return []byte{0x60}, false, nil }

func (*logon) Mechanism() string { return negotiate.MechanismKerberos }

func (l *logon) Close() error { l.open--; return nil }

// Nobody is asked for a password where the logon session has a ticket for the proxy.
func TestTicketOfTheLogonSession(t *testing.T) {
	t.Setenv("KRB5_CONFIG", os.DevNull)
	t.Setenv("KRB5CCNAME", filepath.Join(t.TempDir(), "cc"))
	t.Setenv("KRB5_CLIENT_KTNAME", "")
	t.Setenv("PROXY_USER", "")
	for _, tc := range []struct {
		desc   string
		ticket bool
		user   string
		want   bool
	}{
		{"ticket", true, "", true},
		{"no ticket", false, "", false},
		{"another user", true, "bob", false},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			l := &logon{ticket: tc.ticket}
			d := &diagnosis{
				config: Config{Engine: l, User: tc.user, Prompt: true, Timeout: time.Minute},
				proxy:  &url.URL{Scheme: "http", Host: "proxy.example.com:3128"},
				report: &Report{Schemes: &Schemes{Common: []string{"Negotiate", "Basic"}}},
				ended:  func() bool { return false },
			}
			d.inspect(t.Context())
			require.Equal(t, !tc.want, slices.ContainsFunc(d.sources(), asksPerson))
			d.kerberos(t.Context())
			step := d.report.Steps[0]
			require.Equal(t, tc.want, step.Text == "ticket of the logon session", step.Text)
			require.Equal(t, tc.want, step.Result == OK)
			require.Contains(t, step.Details[0], `LAB\ann`)
			require.Zero(t, l.open)
		})
	}
}
