package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/cmd/proxyauth/internal/doctor"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/spnegoserver"
)

const (
	proxySPN = "HTTP/proxy.example.com"
	spnFlag  = "-spn=" + proxySPN // the lab's proxy is given by its address
)

// A kerberosLab is a lab whose proxy asks for Negotiate, with a KDC.
type kerberosLab struct {
	*lab
	*kdc.KDC
	tickets string // a file
	conf    string // a file
}

// newKerberosLab starts a lab. The change, if there is one, is made to the proxy's server; the
// others are offered as well.
func newKerberosLab(t *testing.T, change func(*spnegoserver.Server), others ...testproxy.Mechanism) *kerberosLab {
	t.Helper()
	k := &kerberosLab{KDC: kdc.Start(t, kdc.Config{Principals: []kdc.Principal{
		{Name: user, Password: password, Enctypes: []int32{kdc.AES128SHA1}}, // whose keys are made quickly
		{Name: "bob"}, {Name: proxySPN},
	}})}
	server := &spnegoserver.Server{Keytab: k.Keytab(proxySPN), Service: proxySPN}
	if change != nil {
		change(server)
	}
	k.tickets = filepath.Join(t.TempDir(), "tickets")
	k.conf = write(t, "krb5.conf", []byte(k.Krb5Conf()))
	auth := append([]testproxy.Mechanism{&spnegoserver.Mechanism{Server: server}}, others...)
	k.lab = newLab(t, testproxy.Config{Auth: auth}, newAccounts())
	return k
}

// kinit fills the ticket cache.
func (k *kerberosLab) kinit(t *testing.T, c kdc.CCache) {
	t.Helper()
	if c.Client == "" {
		c.Client = user
	}
	data, err := k.CCache(c)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(k.tickets, data, 0o600))
}

// doctor returns the command for the origin.
func (k *kerberosLab) doctor(password string, flags ...string) command {
	c := k.lab.doctor(password, k.target(tunnel, "/"), flags...)
	c.env = []string{"KRB5_CONFIG=" + k.conf, "KRB5CCNAME=FILE:" + k.tickets}
	return c
}

// kerberosDiagnoses are what can become of tickets.
var kerberosDiagnoses = []struct {
	desc   string
	with   string // the password
	flags  []string
	server func(*spnegoserver.Server) // changes it
	change func(*testing.T, *kerberosLab, *command)
	cause  string // or one of several, with | between them
	text   string // of the verdict, among others
	fix    string // among others
	step   string // of the step "kerberos", among others
}{
	{
		desc: "ticket", flags: []string{spnFlag}, change: func(t *testing.T, k *kerberosLab, _ *command) { k.kinit(t, kdc.CCache{}) },
		cause: "works", text: "accepts Negotiate", step: "ticket of ann@EXAMPLE.COM",
	},
	{desc: "password", with: password, flags: []string{spnFlag}, cause: "works", text: "accepts Negotiate", step: "with the password"},
	{desc: "no ticket", flags: []string{spnFlag}, cause: "ticket_missing", text: "no Kerberos ticket", fix: "kinit", step: "no ticket"},
	{
		desc: "expired ticket", flags: []string{spnFlag},
		change: func(t *testing.T, k *kerberosLab, _ *command) {
			k.kinit(t, kdc.CCache{Age: time.Hour, Life: time.Minute})
		},
		cause: "ticket_missing", text: "no Kerberos ticket", fix: "kinit", step: "expired",
	},
	{
		desc: "ticket of another user", flags: []string{spnFlag, "-user", "bob"},
		change: func(t *testing.T, k *kerberosLab, _ *command) { k.kinit(t, kdc.CCache{}) },
		cause:  "ticket_missing", text: "no Kerberos ticket", fix: "kinit", step: "another user's",
	},
	{
		desc: "cache that can't be read", flags: []string{spnFlag},
		change: func(_ *testing.T, _ *kerberosLab, c *command) { c.env[1] = "KRB5CCNAME=API:1" },
		cause:  "ticket_missing", text: "no Kerberos ticket", fix: "kinit", step: "API",
	},
	{desc: "wrong password", with: wrong, flags: []string{spnFlag}, cause: "credentials_rejected", text: "the KDC refuses", fix: "password", step: "with the password"},
	{
		desc: "locked account", with: password, flags: []string{spnFlag}, change: func(_ *testing.T, k *kerberosLab, _ *command) { k.Lock(user, true) },
		cause: "held_back|kerberos_failed|credentials_rejected", text: "locked", fix: ".",
	},
	{
		desc: "no KDC", with: password, flags: []string{spnFlag}, change: func(t *testing.T, k *kerberosLab, _ *command) { require.NoError(t, k.Down()) },
		cause: "kerberos_failed", text: "Kerberos fails", fix: "asked over TCP", step: "no KDC answers",
	},
	{
		desc: "silent KDC", with: password, flags: []string{spnFlag, "-timeout=300ms"},
		change: func(t *testing.T, k *kerberosLab, _ *command) {
			silent := startPeer(t, func(string) string { return "" })
			conf := strings.ReplaceAll(k.Krb5Conf(), k.Addr(), silent)
			require.NoError(t, os.WriteFile(k.conf, []byte(conf), 0o600))
		},
		cause: "kerberos_failed", text: "Kerberos fails: no KDC answers", fix: "asked over TCP", step: "no answer within 300ms",
	},
	{
		desc: "no KDC, and NTLM is refused", with: wrong, flags: []string{spnFlag},
		server: takeNTLM,
		change: func(t *testing.T, k *kerberosLab, _ *command) { require.NoError(t, k.Down()) },
		cause:  "kerberos_failed", text: "no KDC answers", fix: "asked over TCP", step: "no KDC answers",
	},
	{
		desc: "no KDC, and NTLM is accepted", with: password, flags: []string{spnFlag},
		server: takeNTLM,
		change: func(t *testing.T, k *kerberosLab, _ *command) { require.NoError(t, k.Down()) },
		cause:  "works", text: "accepts Negotiate", step: "no KDC answers",
	},
	{
		desc: "clock skew", flags: []string{spnFlag},
		change: func(t *testing.T, k *kerberosLab, _ *command) {
			k.kinit(t, kdc.CCache{})
			k.SetClockOffset(-time.Hour)
		},
		cause: "kerberos_failed", text: "Kerberos fails", fix: "clock", step: "behind",
	},
	{
		desc: "unknown service", flags: []string{"-spn=HTTP/other.example.com"},
		change: func(t *testing.T, k *kerberosLab, _ *command) { k.kinit(t, kdc.CCache{}) },
		cause:  "kerberos_failed", text: "Kerberos fails", fix: "HTTP/", step: "HTTP/other.example.com, unknown to the KDC",
	},
	{
		desc: "address in place of a name", change: func(t *testing.T, k *kerberosLab, _ *command) { k.kinit(t, kdc.CCache{}) },
		cause: "kerberos_failed", text: "Kerberos fails", fix: "name", step: "IP address",
	},
	{
		desc: "proxy with another key", flags: []string{spnFlag},
		server: func(s *spnegoserver.Server) { s.Keytab = otherKeytab() },
		change: func(t *testing.T, k *kerberosLab, _ *command) { k.kinit(t, kdc.CCache{}) },
		cause:  "kerberos_failed", text: "Kerberos fails", fix: ".", step: "known to the KDC",
	},
	{
		desc: "another proxy", flags: []string{spnFlag},
		server: func(s *spnegoserver.Server) {
			s.Faults = spnegoserver.Always(spnegoserver.Faults{Reply: spnegoserver.ReplyWrongKey})
		},
		change: func(t *testing.T, k *kerberosLab, _ *command) { k.kinit(t, kdc.CCache{}) },
		cause:  "proxy_not_verified", text: "does not prove", fix: "not be your proxy",
	},
	{
		desc: "malformed krb5.conf", with: password, flags: []string{spnFlag, "-scheme=negotiate"},
		change: func(t *testing.T, k *kerberosLab, _ *command) {
			require.NoError(t, os.WriteFile(k.conf, []byte("[libdefaults\n"), 0o600))
		},
		cause: "kerberos_failed|ticket_missing", fix: "krb5.conf", step: "malformed",
	},
	{
		desc: "no krb5.conf", with: password, flags: []string{spnFlag, "-scheme=negotiate"},
		change: func(_ *testing.T, _ *kerberosLab, c *command) { c.env[0] = "KRB5_CONFIG=/nowhere/krb5.conf" },
		cause:  "kerberos_failed", fix: "krb5.conf", step: "can't be used",
	},
	{
		desc: "empty krb5.conf", with: password, flags: []string{spnFlag, "-scheme=negotiate"},
		change: func(_ *testing.T, _ *kerberosLab, c *command) { c.env[0] = "KRB5_CONFIG=" + os.DevNull },
		cause:  "kerberos_failed", fix: "default_realm", step: "realm",
	},
	{
		desc: "empty krb5.conf, and NTLM is refused", with: wrong, flags: []string{spnFlag, "-scheme=negotiate"}, server: takeNTLM,
		change: func(_ *testing.T, _ *kerberosLab, c *command) { c.env[0] = "KRB5_CONFIG=" + os.DevNull },
		cause:  "kerberos_failed", text: "realm", fix: "default_realm", step: "realm",
	},
}

// takeNTLM lets a server take NTLM inside Negotiate.
func takeNTLM(s *spnegoserver.Server) {
	s.NTLM = spnegoserver.NewNTLM(&ntlmserver.Server{Users: map[string]string{user: password}})
}

// otherKeytab returns a keytab for the proxy that its KDC knows nothing of.
func otherKeytab() []byte {
	k, err := kdc.New(kdc.Config{Principals: []kdc.Principal{{Name: proxySPN}}})
	if err != nil {
		panic(err)
	}
	defer k.Close()
	return k.Keytab(proxySPN)
}

func TestKerberosDiagnoses(t *testing.T) {
	t.Parallel()
	for _, tt := range kerberosDiagnoses {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			k := newKerberosLab(t, tt.server)
			c := k.doctor(tt.with, tt.flags...)
			if tt.change != nil {
				tt.change(t, k, &c)
			}
			report := c.json(t)
			require.Contains(t, strings.Split(tt.cause, "|"), report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Text, tt.text)
			require.Contains(t, report.Verdict.Fix, tt.fix)
			requireNoLibraryWords(t, report.Verdict.Fix)
			requireOneStory(t, report)
			step := stepOf(t, report, "kerberos")
			require.Contains(t, step.Text+"\n"+strings.Join(step.Details, "\n"), tt.step)
			require.LessOrEqual(t, k.Counts(user).PreauthFailed, 1)
		})
	}
}

// requireOneStory requires that the step of a sign-in that failed has the cause of the verdict.
func requireOneStory(t *testing.T, r doctor.Report) {
	t.Helper()
	for _, s := range r.Steps {
		if s.Name == "sign-in" && s.Result == doctor.Failed {
			require.Contains(t, s.Text, strings.ReplaceAll(r.Verdict.Cause, "_", " "))
		}
	}
}

// With -try-all, what is in the way of Kerberos outranks the refusals of what took its place and
// of a weaker scheme.
func TestTryAllWithoutAKDC(t *testing.T) {
	t.Parallel()
	k := newKerberosLab(t, takeNTLM, &testproxy.Basic{Accounts: newAccounts(), Realm: "lab"})
	require.NoError(t, k.Down())
	report := k.doctor(wrong, spnFlag, "-try-all").json(t)
	require.Len(t, report.Attempts, 2)
	require.Equal(t, "kerberos_failed", report.Verdict.Cause, "%+v", report)
	require.Contains(t, report.Verdict.Text, "in NTLM, which took its place")
}

// A target that answers 407 to a ticket that the proxy has accepted does so itself.
func TestChallengeOfATargetAfterTheSignIn(t *testing.T) {
	t.Parallel()
	k := newKerberosLab(t, nil)
	k.kinit(t, kdc.CCache{})
	c := k.doctor("", spnFlag)
	c.args[len(c.args)-1] = k.target(forward, "/407")
	report := c.json(t)
	require.Equal(t, "no_challenge", report.Verdict.Cause, "%+v", report)
	require.Contains(t, report.Verdict.Text, "the target itself answers 407")
	require.Contains(t, report.Verdict.Fix, "whoever runs the target")
	requireNoLibraryWords(t, report.Verdict.Fix)
}

func stepOf(t *testing.T, r doctor.Report, name string) doctor.Step {
	t.Helper()
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no step %q in %+v", name, r.Steps)
	return doctor.Step{}
}

func TestKerberosReport(t *testing.T) {
	t.Parallel()
	k := newKerberosLab(t, nil)
	k.kinit(t, kdc.CCache{})
	got := k.doctor("", spnFlag).json(t).Kerberos
	require.Equal(t, []string{k.conf}, got.ConfigFiles)
	require.Equal(t, "EXAMPLE.COM", got.Realm)
	require.Equal(t, "FILE:"+k.tickets, got.Caches[0].Name)
	require.Equal(t, "KRB5CCNAME", got.Caches[0].From)
	require.Equal(t, "ann@EXAMPLE.COM", got.Caches[0].Principal)
	require.False(t, got.Caches[0].Expires.IsZero())
	require.Len(t, got.Caches[0].Tickets, 1)
	require.Len(t, got.KDCs, 1)
	require.Equal(t, k.Addr(), got.KDCs[0].Address)
	require.True(t, got.KDCs[0].OK)
	require.Equal(t, doctor.Millis(5*60*1000), got.MaxSkew)
	require.Equal(t, proxySPN, got.SPN)
	require.True(t, *got.SPNKnown)
	require.Empty(t, got.Error)
}

// What a KDC has refused is not sent to the proxy in another scheme.
func TestPasswordThatTheKDCRefusesStaysHere(t *testing.T) {
	t.Parallel()
	users := newAccounts()
	k := newKerberosLab(t, nil, &testproxy.Basic{Accounts: users, Realm: "lab"})
	report := k.doctor(wrong, spnFlag).json(t)
	require.Equal(t, "credentials_rejected", report.Verdict.Cause)
	require.Equal(t, 1, k.Counts(user).PreauthFailed)
	require.Zero(t, users.Failures(user))
	require.Empty(t, k.proxy.Violations())
}

// A missing ticket is what to look into, and not the weaker scheme that took its place.
func TestWeakerSchemeTakesThePlace(t *testing.T) {
	t.Parallel()
	k := newKerberosLab(t, nil, &testproxy.Basic{Accounts: newAccounts(), Realm: "lab"})
	report := k.doctor("", spnFlag).json(t)
	require.Equal(t, "ticket_missing", report.Verdict.Cause)
	require.Contains(t, report.Verdict.Fix, "kinit")

	require.NoError(t, k.Down())
	report = k.doctor(password, spnFlag, "-scheme", "negotiate,basic").json(t)
	require.Equal(t, "works", report.Verdict.Cause)
	require.Equal(t, "Basic", report.Attempts[0].Scheme)
	require.Equal(t, "warning", string(stepOf(t, report, "kerberos").Result))
}

// What is known of -spn, of a keytab and of what answers as a KDC decides what to do.
func TestKerberosSetups(t *testing.T) {
	t.Parallel()
	setKDC := func(t *testing.T, k *kerberosLab, address string) {
		data, err := os.ReadFile(k.conf)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(k.conf, []byte(strings.ReplaceAll(string(data), k.Addr(), address)), 0o600))
	}
	for _, tt := range []struct {
		desc   string
		with   string
		flags  []string
		change func(*testing.T, *kerberosLab, *command)
		cause  string
		fix    string
		not    string
	}{
		{
			desc: "another SPN in -spn", flags: []string{"-spn=HTTP/proxy@OTHER.COM"},
			change: func(t *testing.T, k *kerberosLab, _ *command) { k.kinit(t, kdc.CCache{}) },
			cause:  "kerberos_failed", fix: "Check the name in -spn", not: "setspn",
		},
		{
			desc: "something else on the KDC's port", flags: []string{spnFlag},
			change: func(t *testing.T, k *kerberosLab, _ *command) {
				k.kinit(t, kdc.CCache{})
				setKDC(t, k, startPeer(t, func(string) string { return "SSH-2.0-OpenSSH\r\n" }))
			},
			cause: "kerberos_failed", fix: "Check host and port of the KDCs of EXAMPLE.COM", not: "VPN",
		},
		{
			desc: "malformed krb5.conf", with: password, flags: []string{spnFlag},
			change: func(t *testing.T, k *kerberosLab, _ *command) {
				require.NoError(t, os.WriteFile(k.conf, []byte("[libdefaults\n"), 0o600))
			},
			cause: "kerberos_failed", fix: "Correct krb5.conf", not: "kdestroy",
		},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			t.Parallel()
			k := newKerberosLab(t, nil)
			c := k.doctor(tt.with, tt.flags...)
			tt.change(t, k, &c)
			report := c.json(t)
			require.Equal(t, tt.cause, report.Verdict.Cause, "%+v", report)
			require.Contains(t, report.Verdict.Fix, tt.fix)
			if tt.not != "" {
				require.NotContains(t, report.Verdict.Fix, tt.not)
			}
			requireNoLibraryWords(t, report.Verdict.Fix)
			requireOneStory(t, report)
		})
	}
}

// A keytab that the configuration names and that does not exist is not a way to a ticket.
func TestKeytabThatDoesNotExist(t *testing.T) {
	t.Parallel()
	k := newKerberosLab(t, nil)
	data, err := os.ReadFile(k.conf)
	require.NoError(t, err)
	with := strings.Replace(string(data), "[libdefaults]", "[libdefaults]\ndefault_client_keytab_name = FILE:/nowhere/keytab", 1)
	require.Contains(t, with, "/nowhere")
	require.NoError(t, os.WriteFile(k.conf, []byte(with), 0o600))
	report := k.doctor("", spnFlag).json(t)
	require.Equal(t, "ticket_missing", report.Verdict.Cause, "%+v", report)
	require.Empty(t, report.Kerberos.Keytab)
	step := stepOf(t, report, "kerberos")
	require.Equal(t, "warning", string(step.Result))
	require.Contains(t, strings.Join(step.Details, "\n"), "/nowhere/keytab is configured, and does not exist")
	require.Equal(t, "warning", string(stepOf(t, report, "credentials").Result))
}
