package interop_test

import (
	"net"
	"net/url"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
)

// KDC and proxies, with nothing of this module before them.
func TestKerberosProxiesTakeCurl(t *testing.T) {
	t.Parallel()
	for _, tc := range kerberosProxies {
		t.Run(tc.desc, func(t *testing.T) {
			t.Parallel()
			kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
			proxy := tc.start(t, kdc)
			tickets := newTickets(t, kdc)
			for _, via := range urlsOf(proxy) {
				for _, target := range origin.targets() {
					require.Equal(t, emptyBody, curl(t, kdc, tickets, via, target))
				}
			}
			require.Len(t, kdc.Issued(t, "AS"), 1)
			require.Len(t, kdc.Issued(t, "TGS"), 1)
			require.Zero(t, kdc.PreauthFailures(t))

			tickets.Kdestroy(t)
			require.NotEqual(t, emptyBody, curl(t, kdc, tickets, proxy.URL, origin.url))
		})
	}
}

// curl returns what comes from target, with tickets to a proxy that is called by
// the name in its service principal.
func curl(t *testing.T, kdc *interop.KDC, tickets *interop.TicketCache, via *url.URL, target string) string {
	t.Helper()
	name := net.JoinHostPort(interop.ProxyHost, via.Port())
	cmd := exec.CommandContext(t.Context(), interop.Program(t, "curl"),
		"--silent", "--insecure", "--proxy-insecure", "--resolve", name+":127.0.0.1",
		"--proxy", via.Scheme+"://"+name, "--proxy-negotiate", "--proxy-user", ":", "--noproxy", "", target)
	cmd.Env = append(cmd.Environ(), append(kdc.Env(), "KRB5CCNAME="+tickets.Name)...)
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}
