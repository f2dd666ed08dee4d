package negotiate_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// A mitRealm is MIT's KDC on the loopback.
type mitRealm struct {
	t    *testing.T
	dir  string
	addr string
}

const mitConf = `
[libdefaults]
	default_realm = EXAMPLE.COM
	dns_lookup_kdc = false
	dns_canonicalize_hostname = false
	rdns = false
	permitted_enctypes = aes aes256-sha2 aes128-sha2 rc4
[realms]
	EXAMPLE.COM = {
		kdc = %[2]s
		database_name = %[1]s/principal
		key_stash_file = %[1]s/stash
		kdc_listen = %[2]s
		kdc_tcp_listen = %[2]s
		max_life = 10h
	}
	LAB.EXAMPLE.COM = {
		kdc = %[2]s
		database_name = %[1]s/lab
		key_stash_file = %[1]s/labstash
		kdc_listen = %[2]s
		kdc_tcp_listen = %[2]s
	}
[domain_realm]
	.lab.example.com = LAB.EXAMPLE.COM
[logging]
	kdc = FILE:%[1]s/kdc.log
`

func startMIT(t *testing.T, realms ...string) *mitRealm {
	t.Helper()
	for _, program := range []string{"krb5kdc", "kdb5_util", "kadmin.local", "kinit"} {
		interop.Program(t, program)
	}
	hermetic(t)
	r := &mitRealm{t: t, dir: t.TempDir(), addr: interop.Addr(t)}
	conf := filepath.Join(r.dir, "krb5.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, mitConf, r.dir, r.addr), 0o600))
	t.Setenv("KRB5_CONFIG", conf)
	t.Setenv("KRB5_KDC_PROFILE", conf)
	t.Setenv("KRB5CCNAME", "FILE:"+filepath.Join(r.dir, "cc"))
	realms = append(realms, "EXAMPLE.COM")
	for _, realm := range realms {
		r.run("", "kdb5_util", "create", "-s", "-P", "master", "-r", realm)
	}
	r.admin("addprinc -pw s3cret +requires_preauth ann", "addprinc -randkey "+proxySPN)
	r.admin("ktadd -k "+r.path("proxy.keytab")+" "+proxySPN, "ktadd -norandkey -k "+r.path("ann.keytab")+" ann")
	r.serve(realms)
	return r
}

func (r *mitRealm) path(name string) string { return filepath.Join(r.dir, name) }

func (r *mitRealm) run(input, program string, args ...string) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), interop.Program(r.t, program), args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "%s: %s", program, out)
}

func (r *mitRealm) admin(queries ...string) {
	r.t.Helper()
	r.adminOf("EXAMPLE.COM", queries...)
}

func (r *mitRealm) adminOf(realm string, queries ...string) {
	r.t.Helper()
	r.run(strings.Join(queries, "\n")+"\n", "kadmin.local", "-r", realm)
}

func (r *mitRealm) serve(realms []string) {
	r.t.Helper()
	args := []string{"-n"}
	for _, realm := range realms {
		args = append(args, "-r", realm)
	}
	interop.Start(r.t, interop.Command{
		Path:       interop.Program(r.t, "krb5kdc"),
		Args:       args,
		Dir:        interop.NewDir(r.t),
		Privileged: true,
		Addrs:      []string{r.addr},
	})
}

// A helper is squid's acceptor, which is MIT's GSS-API.
type helper struct {
	in  io.Writer
	out *bufio.Reader
}

func (r *mitRealm) helper() *helper {
	r.t.Helper()
	program := interop.File(r.t, "negotiate_kerberos_auth", "/usr/lib/squid", "/usr/lib64/squid", "/usr/libexec/squid")
	cmd := exec.Command(program, "-k", r.path("proxy.keytab"), "-s", "GSS_C_NO_NAME")
	in, err := cmd.StdinPipe()
	require.NoError(r.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(r.t, err)
	require.NoError(r.t, cmd.Start())
	r.t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &helper{in: in, out: bufio.NewReader(out)}
}

// accept returns what the helper says to a token: its own token and the user.
func (h *helper) accept(value string) (token, user string, err error) {
	fmt.Fprintf(h.in, "YR %s\n", strings.TrimPrefix(value, "Negotiate "))
	line, err := h.out.ReadString('\n')
	if err != nil {
		return "", "", err
	}
	fields := strings.Fields(line)
	switch {
	case len(fields) >= 3 && fields[0] == "AF":
		return fields[1], fields[2], nil
	case len(fields) >= 3 && fields[0] == "OK":
		return strings.TrimPrefix(fields[1], "token="), strings.TrimPrefix(fields[2], "user="), nil
	}
	return "", "", fmt.Errorf("helper: %s", line)
}

// check authenticates with the helper, which must prove itself.
func (h *helper) check(t *testing.T, scheme *negotiate.Scheme, ex proxyauth.Exchange) {
	t.Helper()
	scheme.RequireMutual = true
	s, err := scheme.NewSession(t.Context(), ex)
	require.NoError(t, err)
	value, err := s.Authorization(t.Context(), proxyauth.Leg{})
	require.NoError(t, err)
	token, user, err := h.accept(value.Value)
	require.NoError(t, err)
	require.Equal(t, "ann@EXAMPLE.COM", user)
	resp := &http.Response{Header: http.Header{"Proxy-Authenticate": {"Negotiate " + token}}}
	require.NoError(t, s.(proxyauth.Verifier).Verify(resp))

	// A bit of the reply is changed.
	raw, err := base64.StdEncoding.DecodeString(token)
	require.NoError(t, err)
	raw[len(raw)-1] ^= 1
	s, err = scheme.NewSession(t.Context(), ex)
	require.NoError(t, err)
	_, err = s.Authorization(t.Context(), proxyauth.Leg{})
	require.NoError(t, err)
	resp.Header.Set("Proxy-Authenticate", "Negotiate "+base64.StdEncoding.EncodeToString(raw))
	require.ErrorIs(t, s.(proxyauth.Verifier).Verify(resp), proxyauth.ErrNotVerified)
}

func TestMIT(t *testing.T) {
	r := startMIT(t)
	h := r.helper()
	t.Run("password", func(t *testing.T) {
		h.check(t, &negotiate.Scheme{}, exchange("ann", "s3cret"))
	})
	t.Run("configured in code", func(t *testing.T) {
		t.Setenv("KRB5_CONFIG", r.path("none")+string(filepath.ListSeparator)+os.DevNull+"none")
		empty := r.path("empty.conf")
		require.NoError(t, os.WriteFile(empty, nil, 0o600))
		h.check(t, &negotiate.Scheme{ConfigFile: empty, Realm: "EXAMPLE.COM", KDCs: []string{r.addr}}, exchange("ann", "s3cret"))
	})
	t.Run("keytab", func(t *testing.T) {
		h.check(t, &negotiate.Scheme{Keytab: r.path("ann.keytab")}, exchange("", ""))
	})
	t.Run("wrong password", func(t *testing.T) {
		_, err := (&negotiate.Scheme{}).NewSession(t.Context(), exchange("ann", "wrong"))
		require.ErrorIs(t, err, proxyauth.ErrRejected)
	})
	t.Run("unknown user", func(t *testing.T) {
		_, err := (&negotiate.Scheme{DisableNTLM: true}).NewSession(t.Context(), exchange("nobody", "s3cret"))
		require.ErrorIs(t, err, negotiate.ClientUnknown)
	})
	t.Run("unknown service", func(t *testing.T) {
		_, err := (&negotiate.Scheme{DisableNTLM: true, SPN: fixed("HTTP/nowhere")}).NewSession(t.Context(), exchange("ann", "s3cret"))
		require.ErrorIs(t, err, negotiate.ServiceUnknown)
	})
	for _, name := range []string{"FILE:" + r.path("cc1"), "DIR:" + r.path("ccdir")} {
		t.Run("ticket cache "+name[:strings.IndexByte(name, ':')], func(t *testing.T) {
			require.NoError(t, os.MkdirAll(r.path("ccdir"), 0o700))
			r.run("s3cret\n", "kinit", "-c", name, "ann")
			scheme := &negotiate.Scheme{TicketCache: name}
			h.check(t, scheme, exchange("", ""))
			r.run("", "kdestroy", "-c", name)
			_, err := scheme.NewSession(t.Context(), exchange("", ""))
			require.ErrorIs(t, err, negotiate.NoTicket)
		})
	}
}

func TestMITEncryptionTypes(t *testing.T) {
	r := startMIT(t)
	for _, enctype := range []string{"aes256-sha2", "aes128-sha2", "aes256-cts", "aes128-cts", "rc4-hmac"} {
		t.Run(enctype, func(t *testing.T) {
			r.admin("delprinc -force "+proxySPN, "addprinc -randkey -e "+enctype+":normal "+proxySPN,
				"delprinc -force ann", "addprinc -pw s3cret -e "+enctype+":normal +requires_preauth ann")
			require.NoError(t, os.Remove(r.path("proxy.keytab")))
			r.admin("ktadd -k " + r.path("proxy.keytab") + " -e " + enctype + ":normal " + proxySPN)
			r.helper().check(t, &negotiate.Scheme{}, exchange("ann", "s3cret"))
		})
	}
}

// The proxy is of another realm, which either krb5.conf or the KDC knows.
func TestMITReferral(t *testing.T) {
	const spn = "HTTP/proxy.lab.example.com"
	r := startMIT(t, "LAB.EXAMPLE.COM")
	trust := "addprinc -pw trust krbtgt/LAB.EXAMPLE.COM@EXAMPLE.COM"
	r.admin(trust)
	r.adminOf("LAB.EXAMPLE.COM", trust, "addprinc -randkey "+spn, "ktadd -k "+r.path("lab.keytab")+" "+spn)
	require.NoError(t, os.Rename(r.path("lab.keytab"), r.path("proxy.keytab")))
	ex := exchange("ann", "s3cret")
	ex.Proxy = &url.URL{Scheme: "http", Host: "proxy.lab.example.com:3128"}
	t.Run("by krb5.conf", func(t *testing.T) {
		r.helper().check(t, &negotiate.Scheme{}, ex)
	})
	t.Run("by the KDC", func(t *testing.T) {
		conf := r.path("client.conf")
		text := fmt.Sprintf("[realms]\nEXAMPLE.COM = {\nkdc = %[1]s\n}\nLAB.EXAMPLE.COM = {\nkdc = %[1]s\n}\n", r.addr)
		require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
		r.helper().check(t, &negotiate.Scheme{ConfigFile: conf, Realm: "EXAMPLE.COM"}, ex)
	})
}
