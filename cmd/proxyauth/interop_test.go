package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/internal/sample"
)

var ann = interop.Account{Username: user, Password: password}

// A realCase is what doctor finds at a real proxy.
type realCase struct {
	desc   string
	with   string // the password, empty for none
	target string
	flags  []string
	env    []string
	cause  string
	text   string // of the verdict, among others
	fix    string // among others
}

// check runs doctor at a proxy.
func (tt realCase) check(t *testing.T, proxy *interop.Proxy) {
	t.Helper()
	args := append([]string{"doctor", "-proxy", proxy.URL.String()}, tt.flags...)
	if tt.with != "" {
		args = append(args, "-user", user, "-password-stdin")
	}
	report := command{args: append(args, tt.target), stdin: tt.with, env: tt.env}.json(t)
	require.Equal(t, tt.cause, report.Verdict.Cause, "%s: %+v", tt.desc, report)
	require.Contains(t, report.Verdict.Text, tt.text, tt.desc)
	require.Contains(t, report.Verdict.Fix, tt.fix, tt.desc)
	require.Equal(t, report.Verdict.OK, report.Verdict.Fix == "", tt.desc)
	requireNoLibraryWords(t, report.Verdict.Fix)
	requireOneStory(t, report)
}

// realOrigins starts origins, and returns their URLs and the file with the certificate.
func realOrigins(t *testing.T) (plain, secure, cert string) {
	t.Helper()
	a := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(a.Close)
	b := httptest.NewTLSServer(http.HandlerFunc(answer))
	t.Cleanup(b.Close)
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate().Raw})
	return a.URL, b.URL, write(t, "origin.pem", data)
}

func TestSquid(t *testing.T) {
	t.Parallel()
	plain, secure, cert := realOrigins(t)
	proxy := interop.Squid{Auth: []interop.SquidAuth{interop.SquidDigest(0, ann), interop.SquidBasic(ann)}}.Start(t)
	ca := []string{"-ca", cert}
	for _, tt := range []realCase{
		{desc: "forwarded", with: password, target: plain, cause: "works", text: "accepts Digest"},
		{desc: "tunnelled", with: password, target: secure, flags: ca, cause: "works", text: "accepts Digest"},
		{desc: "Basic", with: password, target: secure, flags: append(ca, "-scheme", "basic"), cause: "works", text: "accepts Basic"},
		{desc: "no password", target: secure, cause: "no_credentials"},
		{desc: "wrong password", with: wrong, target: plain, cause: "credentials_rejected", text: "the proxy refuses"},
		{desc: "denied", with: password, target: "http://" + interop.DeniedHost + "/", cause: "denied", text: "403"},
		{desc: "denied tunnel", with: password, target: "https://" + interop.DeniedHost + "/", cause: "denied", text: "403"},
		{desc: "dead target", with: password, target: "http://127.0.0.1:1/", cause: "target_unreachable", text: "503"},
		{desc: "dead target of a tunnel", with: password, target: "https://127.0.0.1:1/", cause: "target_unreachable", text: "503"},
		{desc: "401 of the target", with: password, target: plain + "/401", cause: "target_unauthorized", text: "401"},
		{desc: "403 of the target", with: password, target: plain + "/403", cause: "target_forbidden", text: "403"},
	} {
		tt.check(t, proxy)
	}
}

func TestTinyproxy(t *testing.T) {
	t.Parallel()
	plain, secure, cert := realOrigins(t)
	proxy := interop.Tinyproxy{Accounts: []interop.Account{ann}}.Start(t)
	for _, tt := range []realCase{
		{desc: "forwarded", with: password, target: plain, cause: "works", text: "accepts Basic"},
		{desc: "tunnelled", with: password, target: secure, flags: []string{"-ca", cert}, cause: "works", text: "accepts Basic"},
		{desc: "wrong password", with: wrong, target: plain, cause: "credentials_rejected", text: "401"},
		{desc: "wrong password for a tunnel", with: wrong, target: secure, cause: "credentials_rejected", text: "401"},
		{desc: "dead target", with: password, target: "http://127.0.0.1:1/", cause: "target_unreachable", text: "it answers 500", fix: "can't reach the target"},
		{desc: "dead target of a tunnel", with: password, target: "https://127.0.0.1:1/", cause: "target_unreachable", text: "500"},
		{desc: "500 of the target", with: password, target: plain + "/500", cause: "target_failed", text: "500"},
		{desc: "500 of the target, asked without the proxy", with: password, target: plain + "/500", flags: []string{"-direct"}, cause: "target_failed", fix: "so that it is the target"},
	} {
		tt.check(t, proxy)
	}
}

func TestApache(t *testing.T) {
	t.Parallel()
	plain, secure, cert := realOrigins(t)
	ca := []string{"-ca", cert}
	for desc, proxy := range map[string]*interop.Proxy{
		"Digest": interop.Apache{Auth: interop.ApacheDigest(300, ann)}.Start(t),
		"Basic":  interop.Apache{Auth: interop.ApacheBasic(ann)}.Start(t),
	} {
		for _, tt := range []realCase{
			{desc: "forwarded", with: password, target: plain, cause: "works", text: "accepts " + desc},
			{desc: "tunnelled", with: password, target: secure, flags: ca, cause: "works", text: "accepts " + desc},
			{desc: "no password", target: secure, cause: "no_credentials", fix: "into the URL of -proxy"},
			{desc: "other scheme", with: password, target: plain, flags: []string{"-scheme", "NTLM"}, cause: "no_common_scheme", fix: desc},
			{desc: "wrong password", with: wrong, target: plain, cause: "credentials_rejected", text: "the proxy refuses", fix: "lock the account"},
			{desc: "wrong password for a tunnel", with: wrong, target: secure, cause: "credentials_rejected", text: "the proxy refuses", fix: "lock the account"},
			{desc: "denied", with: password, target: "http://" + interop.DeniedHost + "/", cause: "denied", text: "it answers 403", fix: "whoever asks"},
			{desc: "denied tunnel", with: password, target: "https://" + interop.DeniedHost + "/", cause: "denied", text: "403", fix: "whoever asks"},
			{desc: "dead target", with: password, target: "http://127.0.0.1:1/", cause: "target_unreachable", text: "503", fix: "can't reach the target"},
			{desc: "dead target of a tunnel", with: password, target: "https://127.0.0.1:1/", cause: "target_unreachable", text: "503", fix: "can't reach the target"},
			{desc: "401 of the target", with: password, target: plain + "/401", cause: "target_unauthorized", text: "401"},
			{desc: "403 of the target", with: password, target: plain + "/403", flags: []string{"-direct"}, cause: "target_forbidden", fix: "so that it is the target"},
		} {
			tt.desc = desc + ": " + tt.desc
			tt.check(t, proxy)
		}
	}
}

func TestApacheWithKerberos(t *testing.T) {
	t.Parallel()
	plain, secure, cert := realOrigins(t)
	kdc := interop.StartKDC(t, ann)
	proxy := interop.Apache{Auth: interop.ApacheGSSAPI(kdc, interop.PerConnection), Env: kdc.Env()}.Start(t)
	tickets := interop.NewTicketCache(t, kdc)
	env := []string{"KRB5_CONFIG=" + kdc.ConfigFile, "KRB5CCNAME=" + tickets.Name}
	spn := []string{"-spn", "HTTP/" + interop.ProxyHost}

	realCase{desc: "no ticket", target: plain, flags: spn, env: env, cause: "ticket_missing", fix: "kinit"}.check(t, proxy)
	tickets.Kinit(t, ann)
	realCase{desc: "ticket", target: plain, flags: spn, env: env, cause: "works", text: "accepts Negotiate"}.check(t, proxy)
	realCase{desc: "ticket for a tunnel", target: secure, flags: append(spn, "-ca", cert), env: env, cause: "works", text: "accepts Negotiate"}.check(t, proxy)
	kdc.RemoveProxy(t)
	realCase{desc: "unknown service", target: plain, flags: spn, env: env, cause: "kerberos_failed", text: "does not know the service", fix: "setspn -S"}.check(t, proxy)
}

// Samba's ntlm_auth verifies what squid is sent.
func TestSamba(t *testing.T) {
	t.Parallel()
	plain, secure, cert := realOrigins(t)
	proxy := interop.Squid{Auth: []interop.SquidAuth{interop.SquidNTLM{Account: ann}.Auth}}.Start(t)
	for _, tt := range []realCase{
		{desc: "forwarded", with: password, target: plain, cause: "works", text: "accepts NTLM"},
		{desc: "tunnelled", with: password, target: secure, flags: []string{"-ca", cert}, cause: "works", text: "accepts NTLM"},
		{desc: "wrong password", with: wrong, target: plain, cause: "credentials_rejected", text: "the proxy refuses", fix: `domain is missing from the user name (DOMAIN\user)`},
		{desc: "wrong password for a tunnel", with: wrong, target: secure, cause: "credentials_rejected", text: "the proxy refuses", fix: "lock the account"},
		{desc: "no password", target: plain, cause: "no_credentials", fix: "-password-stdin"},
		{desc: "other scheme", with: password, target: plain, flags: []string{"-scheme", "Basic"}, cause: "no_common_scheme", fix: "NTLM"},
	} {
		tt.check(t, proxy)
	}
}

func TestSquidWithKerberos(t *testing.T) {
	t.Parallel()
	plain, _, _ := realOrigins(t)
	kdc := interop.StartKDC(t, ann)
	proxy := interop.Squid{Auth: []interop.SquidAuth{interop.SquidNegotiate(kdc)}, Env: kdc.Env()}.Start(t)
	tickets := interop.NewTicketCache(t, kdc)
	env := []string{"KRB5_CONFIG=" + kdc.ConfigFile, "KRB5CCNAME=" + tickets.Name}
	spn := []string{"-spn", "HTTP/" + interop.ProxyHost}

	realCase{desc: "no ticket", target: plain, flags: spn, env: env, cause: "ticket_missing"}.check(t, proxy)
	tickets.Kinit(t, ann)
	realCase{desc: "ticket", target: plain, flags: spn, env: env, cause: "works", text: "accepts Negotiate"}.check(t, proxy)
	realCase{desc: "address", target: plain, env: env, cause: "kerberos_failed", text: "IP address"}.check(t, proxy)
	kdc.ChangeProxyKey(t)
	realCase{desc: "another key", target: plain, flags: spn, env: env, cause: "kerberos_failed"}.check(t, proxy)
	kdc.RemoveProxy(t)
	realCase{desc: "unknown service", target: plain, flags: spn, env: env, cause: "kerberos_failed", text: "does not know the service"}.check(t, proxy)
	kdc.Stop()
	realCase{desc: "no KDC", target: plain, flags: spn, env: env, cause: "kerberos_failed", text: "no KDC answers"}.check(t, proxy)
}

// A wrong password counts once at the controller of a domain.
func TestSambaDomain(t *testing.T) {
	if !sample.Thorough() {
		t.Skip("making a domain takes as long as all the other tests here")
	}
	t.Parallel()
	plain, _, _ := realOrigins(t)
	domain := interop.StartDomain(t, ann)
	proxy := interop.Squid{Auth: []interop.SquidAuth{interop.SquidNTLM{Domain: domain}.Auth}}.Start(t)
	realCase{desc: "works", with: password, target: plain, cause: "works", text: "accepts NTLM"}.check(t, proxy)
	realCase{desc: "wrong password", with: wrong, target: plain, cause: "credentials_rejected", text: "the proxy refuses", fix: "lock the account"}.check(t, proxy)
	require.Equal(t, "1", domain.BadPasswords(t, user))
}
