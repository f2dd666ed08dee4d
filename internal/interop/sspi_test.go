package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
)

// A windowsTest is the test binary of package sspi, under Wine.
type windowsTest struct {
	wine   *interop.Wine
	binary string
}

func newWindowsTest(t *testing.T) windowsTest {
	t.Helper()
	w := windowsTest{wine: interop.NewWine(t), binary: filepath.Join(t.TempDir(), "sspi.test.exe")}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", w.binary, "github.com/go-proxyauth/proxyauth/schemes/negotiate/sspi")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return w
}

// A liveCase is what the binary is to do with a proxy.
type liveCase struct {
	schemes string
	account interop.Account // of the provider, zero for none
	want    string          // what matches the error, empty for none
	test    string          // TestLive if empty
	ways    string          // "forwarded" or "tunnelled", both if empty
	many    int             // requests at once, after a few
	env     []string
}

// run runs a case. secure has it use the proxy's URL with TLS.
func (w windowsTest) run(t *testing.T, proxy *interop.Proxy, origin *origin, secure bool, c liveCase) {
	t.Helper()
	via := proxy.URL
	if secure {
		via = proxy.TLSURL
	}
	test := "TestLive"
	if c.test != "" {
		test = c.test
	}
	targets := origin.url + " " + origin.tlsURL
	if c.ways != "" {
		targets = origin.targets()[c.ways]
	}
	cmd := w.wine.Command(t, append([]string{
		"PROXYAUTH_SSPI_PROXY=" + via.Scheme + "://" + interop.ProxyHost + ":" + via.Port(),
		"PROXYAUTH_SSPI_DIAL=" + via.Host,
		"PROXYAUTH_SSPI_SCHEMES=" + c.schemes,
		"PROXYAUTH_SSPI_USER=" + c.account.Username,
		"PROXYAUTH_SSPI_PASSWORD=" + c.account.Password,
		"PROXYAUTH_SSPI_WANT=" + c.want,
		"PROXYAUTH_SSPI_TARGETS=" + targets,
		"PROXYAUTH_SSPI_MANY=" + strconv.Itoa(c.many),
	}, c.env...), w.binary, "-test.v", "-test.run", "^"+test+"$")
	before := origin.requests.Load()
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "--- PASS: "+test)
	if test == "TestLive" {
		t.Logf("%s", strings.TrimSpace(string(output)))
		require.True(t, c.want != "" || origin.requests.Load() > before)
	}
}

// The tickets of the user who is logged in are those that Wine finds: there, MIT's library
// stands for Windows'.
func TestSSPIKerberos(t *testing.T) {
	t.Parallel()
	w := newWindowsTest(t)
	kdc, origin := interop.StartKDC(t, ann), newOrigin(t)
	in := func(cache *interop.TicketCache) []string { return append(kdc.Env(), "KRB5CCNAME="+cache.Name) }
	file, none := in(newTickets(t, kdc)), in(interop.NewTicketCache(t, kdc))
	keyring := interop.NewKeyringCache(t, kdc, unique("user:proxyauth"))
	keyring.Kinit(t, ann)
	other := in(interop.NewTicketCache(t, kdc)) // for the tickets that Wine gets with a password
	explicit := func(a interop.Account) interop.Account {
		return interop.Account{Username: interop.KerberosRealm + `\` + a.Username, Password: a.Password}
	}
	for _, tc := range kerberosProxies {
		t.Run(tc.desc, func(t *testing.T) {
			proxy := tc.start(t, kdc)
			w.run(t, proxy, origin, false, liveCase{schemes: "default", env: file, many: workers})
			w.run(t, proxy, origin, true, liveCase{schemes: "default", env: in(keyring)})
			w.run(t, proxy, origin, false, liveCase{schemes: "negotiate", env: file, many: 8})
			if tc.provesItself {
				w.run(t, proxy, origin, false, liveCase{schemes: "mutual", env: file, ways: "forwarded"})
			}
		})
	}
	proxy := startSquidNegotiate(t, kdc)
	w.run(t, proxy, origin, false, liveCase{schemes: "kerberos", account: explicit(ann), env: other, many: 8})
	w.run(t, proxy, origin, false, liveCase{schemes: "default", env: none, want: "ticket_missing"})
	w.run(t, proxy, origin, false, liveCase{test: "TestLiveEngine", schemes: "default", env: file})
	w.run(t, proxy, origin, false, liveCase{schemes: "mutual", env: file, want: "proxy_not_verified"})
	failures := kdc.PreauthFailures(t)
	w.run(t, proxy, origin, false, liveCase{schemes: "kerberos", account: explicit(wrong), env: none, want: "held_back"})
	// Wine does not say that it is the password, which is held back as one without an answer.
	require.LessOrEqual(t, kdc.PreauthFailures(t), failures+4)
	kdc.ChangeProxyKey(t)
	w.run(t, proxy, origin, false, liveCase{schemes: "default", env: in(newTickets(t, kdc)), want: "ticket_refused"})
}

// The user who is logged in is the one whose password winbindd keeps.
func TestSSPINTLM(t *testing.T) {
	t.Parallel()
	w := newWindowsTest(t)
	domain := interop.StartDomain(t, ann, bob)
	proxy := squidNTLM(interop.SquidNTLM{Domain: domain}).Start(t)
	origin := newOrigin(t)
	logon := domain.Logon(t, bob)
	account := interop.Account{Username: `LAB\ann`, Password: ann.Password}
	w.run(t, proxy, origin, true, liveCase{schemes: "ntlm", account: account, many: 2})
	w.run(t, proxy, origin, false, liveCase{schemes: "ntlm", env: logon, many: workers})
	w.run(t, proxy, origin, true, liveCase{schemes: "ntlm", env: logon})
	w.run(t, proxy, origin, false, liveCase{schemes: "ntlm", account: interop.Account{Username: `LAB\ann`, Password: wrong.Password}, want: "credentials_rejected"})
	require.Equal(t, "1", domain.BadPasswords(t, ann.Username))
	w.run(t, proxy, origin, false, liveCase{schemes: "ntlm", want: "scheme_failed"})
	w.run(t, proxy, origin, false, liveCase{schemes: "default", want: "no_credentials", env: logon})
}
