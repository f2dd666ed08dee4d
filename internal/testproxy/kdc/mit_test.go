package kdc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
)

// mit runs MIT's programs against a KDC, in a directory of their own.
type mit struct {
	t   *testing.T
	dir string
}

func newMIT(t *testing.T, k *kdc.KDC, libdefaults ...string) *mit {
	t.Helper()
	for _, program := range []string{"kinit", "kvno", "klist"} {
		interop.Program(t, program)
	}
	m := &mit{t: t, dir: t.TempDir()}
	m.write("krb5.conf", []byte(k.Krb5Conf(libdefaults...)))
	return m
}

// startForMIT is start with as many iterations as MIT's clients insist on.
func startForMIT(t *testing.T, principals ...kdc.Principal) *kdc.KDC {
	t.Helper()
	return kdc.Start(t, kdc.Config{Iterations: -1, Principals: principals})
}

func (m *mit) write(name string, content []byte) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(filepath.Join(m.dir, name), content, 0o600))
}

func (m *mit) run(input, program string, args ...string) (string, error) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), interop.Program(m.t, program), args...)
	cmd.Dir, cmd.Stdin = m.dir, strings.NewReader(input)
	cmd.Env = []string{"KRB5_CONFIG=krb5.conf", "KRB5CCNAME=FILE:" + filepath.Join(m.dir, "cc"), "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *mit) must(input, program string, args ...string) string {
	m.t.Helper()
	out, err := m.run(input, program, args...)
	require.NoError(m.t, err, "%s: %s", program, out)
	return out
}

func TestMITOfEachEnctype(t *testing.T) {
	for etype, name := range map[int32]string{
		kdc.AES128SHA1: "aes128-cts-hmac-sha1-96",
		kdc.AES256SHA1: "aes256-cts-hmac-sha1-96",
		kdc.AES128SHA2: "aes128-cts-hmac-sha256-128",
		kdc.AES256SHA2: "aes256-cts-hmac-sha384-192",
		kdc.RC4:        "DEPRECATED:arcfour-hmac",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etypes := []int32{etype}
			k := startForMIT(t,
				kdc.Principal{Name: "ann", Password: "päßwörd", Enctypes: etypes},
				kdc.Principal{Name: tgsName, Enctypes: etypes},
				kdc.Principal{Name: service, Enctypes: etypes},
			)
			m := newMIT(t, k, "allow_weak_crypto = true", "permitted_enctypes = "+everyEnctype)
			m.write("keytab", k.Keytab(service))
			m.must("päßwörd\n", "kinit", "ann")
			// The keytab makes kvno decrypt the ticket.
			require.Contains(t, m.must("", "kvno", "-k", "keytab", service), "kvno = 2, keytab entry valid")
			require.Equal(t, 4, strings.Count(m.must("", "klist", "-e"), " "+name))
			require.Equal(t, 1, k.Counts("ann").ServiceTickets)
			require.Zero(t, k.Counts("ann").PreauthFailed)
		})
	}
}

func TestMITKeytab(t *testing.T) {
	k := startForMIT(t, kdc.Principal{Name: "ann", KVNO: 300}, kdc.Principal{Name: service})
	m := newMIT(t, k)
	m.write("keytab", k.Keytab("ann", service))
	require.Contains(t, m.must("", "klist", "-k", "-e", "keytab"), "300 ann@EXAMPLE.COM (aes256-cts-hmac-sha1-96)")
	m.must("", "kinit", "-k", "-t", "keytab", "ann")
	m.must("", "kvno", service)
}

func TestMITCCache(t *testing.T) {
	k := startForMIT(t, annAndService()...)
	m := newMIT(t, k)
	cache, err := k.CCache(kdc.CCache{Client: "ann"})
	require.NoError(t, err)
	m.write("cc", cache)
	require.Contains(t, m.must("", "klist", "-C"), "config: pa_type(krbtgt/EXAMPLE.COM@EXAMPLE.COM) = 2")
	m.must("", "kvno", service)
	require.Equal(t, kdc.Counts{TGSRequests: 1, ServiceTickets: 1}, k.Counts("ann"))

	cache, err = k.CCache(kdc.CCache{Client: "ann", Services: []string{service}})
	require.NoError(t, err)
	m.write("cc", cache)
	m.must("", "kvno", service)
	require.Equal(t, 1, k.Counts("ann").TGSRequests, "the ticket was there")

	cache, err = k.CCache(kdc.CCache{Client: "ann", Age: 2 * time.Hour, Life: time.Hour})
	require.NoError(t, err)
	m.write("cc", cache)
	_, err = m.run("", "klist", "-s")
	require.Error(t, err, "the tickets have expired")
}

func TestMITRenewal(t *testing.T) {
	k := kdc.Start(t, kdc.Config{Iterations: -1, Principals: annAndService(), RenewLife: 24 * time.Hour})
	m := newMIT(t, k)
	m.must(secret+"\n", "kinit", "-r", "1d", "ann")
	m.must("", "kinit", "-R")
	require.Equal(t, 1, k.Counts("ann").Renewals)
	require.Contains(t, m.must("", "klist", "-f"), "Flags: RI") // renewable, initial
}

func TestMITSaysWhatIsWrong(t *testing.T) {
	cases := []struct {
		desc   string
		change func(*kdc.KDC)
		input  string
		want   string
	}{
		{"wrong password", func(*kdc.KDC) {}, "wrong\n", "Password incorrect"},
		{"unknown", func(k *kdc.KDC) { k.Remove("ann") }, secret + "\n", "not found in Kerberos database"},
		{"locked", func(k *kdc.KDC) { k.Lock("ann", true) }, secret + "\n", "revoked"},
		{"expired", func(k *kdc.KDC) { k.Expire("ann", true) }, secret + "\n", "Password has expired"},
		{"skew", func(k *kdc.KDC) { k.SetClockOffset(-time.Hour) }, secret + "\n", "Clock skew too great"},
		{"down", func(k *kdc.KDC) { k.Down() }, secret + "\n", "Cannot contact any KDC"},
	}
	for _, tc := range cases {
		t.Run(tc.desc, func(t *testing.T) {
			k := startForMIT(t, annAndService()...)
			// Without this, kinit takes the KDC's clock for its own.
			m := newMIT(t, k, "kdc_timesync = 0")
			tc.change(k)
			out, err := m.run(tc.input, "kinit", "ann")
			require.Error(t, err)
			require.Contains(t, out, tc.want)
			require.Zero(t, k.Total().TGTs)
		})
	}
}

func TestMITOverUDP(t *testing.T) {
	for _, limit := range []int{0, -1} {
		k := kdc.Start(t, kdc.Config{Iterations: -1, Principals: annAndService(), MaxUDP: limit})
		m := newMIT(t, k)
		conf := strings.Replace(k.Krb5Conf(), "udp_preference_limit = 1\n", "udp_preference_limit = 1400\n", 1)
		m.write("krb5.conf", []byte(conf))
		m.must(secret+"\n", "kinit", "ann")
		m.must("", "kvno", service)
		require.NotZero(t, k.Counts("ann").ServiceTickets)
	}
}
