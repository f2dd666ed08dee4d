package krb_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

const conf = `
# a comment
[libdefaults]
	default_realm = CORP.EXAMPLE.COM ; the usual one
	dns_lookup_kdc = false
	permitted_enctypes = aes256-sha2 aes rc4
[realms]
	CORP.EXAMPLE.COM = {
		kdc = kdc1.example.com
		kdc = tcp/kdc2.example.com:8888
		kdc = https://kdc.example.com/KdcProxy
		kdc = [2001:db8::1]:88
		auth_to_local_names = {
			ann = root
		}
	}
[domain_realm]
	.example.com = CORP.EXAMPLE.COM
	lab.example.com = LAB.EXAMPLE.COM
`

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestConf(t *testing.T) {
	path := write(t, "krb5.conf", conf)
	realm, kdcs, types, err := krb.ParseConf(path)
	require.NoError(t, err)
	require.Equal(t, "CORP.EXAMPLE.COM", realm)
	require.Equal(t, []string{"kdc1.example.com:88", "kdc2.example.com:8888", "[2001:db8::1]:88"}, kdcs)
	require.Equal(t, []int32{20, 18, 17, 19, 23}, types)
	for host, want := range map[string]string{
		"proxy.example.com":      "CORP.EXAMPLE.COM",
		"proxy.east.example.com": "CORP.EXAMPLE.COM",
		"lab.example.com":        "LAB.EXAMPLE.COM",
		"example.com":            "",
		"example.net":            "",
		"":                       "",
	} {
		require.Equal(t, want, krb.RealmOf(path, host), host)
	}
}

// What libkrb5 1.20 answers for the same configuration.
func TestRealmOf(t *testing.T) {
	path := write(t, "krb5.conf", `[domain_realm]
	.dotted.com = DOTTED
	plain.com = PLAIN
	.both.com = BELOW
	both.com = ITSELF
	host.sub.plain.com = HOST
	.sub.dotted.com = SUB
	com = TOP
`)
	for host, want := range map[string]string{
		"dotted.com":           "TOP",
		"a.dotted.com":         "DOTTED",
		"a.b.dotted.com":       "DOTTED",
		"sub.dotted.com":       "DOTTED",
		"a.sub.dotted.com":     "SUB",
		"plain.com":            "PLAIN",
		"proxy.plain.com":      "PLAIN",
		"a.b.plain.com":        "PLAIN",
		"both.com":             "ITSELF",
		"a.both.com":           "BELOW",
		"host.sub.plain.com":   "HOST",
		"x.host.sub.plain.com": "HOST",
		"other.com":            "TOP",
		"com":                  "TOP",
		"plain.net":            "",
		"":                     "",
	} {
		require.Equal(t, want, krb.RealmOf(path, host), host)
	}
}

// What MIT's library takes besides what its documentation has.
func TestConfSpellings(t *testing.T) {
	more := write(t, "more", "[libdefaults]\ndefault_realm = EXAMPLE.COM\n")
	dir := filepath.Dir(more)
	const realms = "[realms]\nEXAMPLE.COM = {\nkdc = kdc\n}\n"
	for _, tc := range []struct{ desc, text string }{
		{"include and a tab", "include\t" + more + "\n" + realms},
		{"include and more blanks", "include \t " + more + "\n" + realms},
		{"includedir and a tab", "includedir\t" + dir + "\n" + realms},
		{"a brace on the next line", "include " + more + "\n[realms]\nEXAMPLE.COM =\n{\nkdc = kdc\n}\n"},
		{"a brace after a comment", "include " + more + "\n[realms]\nEXAMPLE.COM =\n# why\n\n\t{\n\tkdc = kdc\n\t}\n"},
		{"a tag without a value", "include " + more + "\n[libdefaults]\nrenew_lifetime =\n" + realms},
		{"a module", "module /usr/lib/krb5/plugins/p.so:x\ninclude " + more + "\n" + realms},
		{"a module and a tab", "module\t/usr/lib/krb5/plugins/p.so:x\ninclude " + more + "\n" + realms},
		{"a relation that looks like a directive", "[libdefaults]\ninclude = x\nmodule = y\ndefault_realm = EXAMPLE.COM\n" + realms},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			realm, kdcs, _, err := krb.ParseConf(write(t, "krb5.conf", tc.text))
			require.NoError(t, err)
			require.Equal(t, "EXAMPLE.COM", realm)
			require.Equal(t, []string{"kdc:88"}, kdcs)
		})
	}
}

func TestConfIncludes(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "realm.conf"), []byte("[libdefaults]\ndefault_realm = EXAMPLE.COM\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "realm.conf~"), []byte("nonsense"), 0o600))
	more := write(t, "more", "[realms]\nEXAMPLE.COM = {\nkdc = kdc.example.com\n}\n")
	path := write(t, "krb5.conf", "includedir "+dir+"\ninclude "+more+"\nincludedir "+dir+"/missing\n")
	realm, kdcs, types, err := krb.ParseConf(path)
	require.NoError(t, err)
	require.Equal(t, "EXAMPLE.COM", realm)
	require.Equal(t, []string{"kdc.example.com:88"}, kdcs)
	require.Equal(t, []int32{20, 19, 18, 17}, types)
}

func TestConfErrors(t *testing.T) {
	loop := filepath.Join(t.TempDir(), "krb5.conf")
	require.NoError(t, os.WriteFile(loop, []byte("include "+loop+"\n"), 0o600))
	for _, tc := range []struct {
		desc, path string
		want       error
	}{
		{"a file that includes itself", loop, krb.ErrMalformedFile},
		{"an include of a relative path", write(t, "a", "include b\n"), krb.ErrMalformedFile},
		{"a missing include", write(t, "a", "include /nonexistent/b\n"), os.ErrNotExist},
		{"an unknown directive", write(t, "a", "includes /b\n"), krb.ErrMalformedFile},
		{"a relation before the first section", write(t, "a", "a = b\n"), krb.ErrMalformedFile},
		{"an unmatched brace", write(t, "a", "[realms]\n}\n"), krb.ErrMalformedFile},
		{"a brace without a tag", write(t, "a", "[realms]\n{\n"), krb.ErrMalformedFile},
		{"a brace after a value", write(t, "a", "[realms]\na = b\n{\n}\n"), krb.ErrMalformedFile},
		{"a brace after a section", write(t, "a", "[realms]\na =\n[realms]\n{\n}\n"), krb.ErrMalformedFile},
		{"a module within a section", write(t, "a", "[realms]\nmodule /x\n"), krb.ErrMalformedFile},
		{"an unclosed section", write(t, "a", "[realms\n"), krb.ErrMalformedFile},
		{"no relation", write(t, "a", "[realms]\nword\n"), krb.ErrMalformedFile},
		{"no supported encryption type", write(t, "a", "[libdefaults]\npermitted_enctypes = des-cbc-crc\n"), krb.ErrEncType},
		{"a directory", t.TempDir(), krb.ErrMalformedFile},
		{"a missing file that was asked for", "/nonexistent/krb5.conf", os.ErrNotExist},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			_, _, _, err := krb.ParseConf(tc.path)
			require.ErrorIs(t, err, tc.want)
		})
	}
}

func TestEncTypes(t *testing.T) {
	require.Equal(t, []int32{20, 19, 18, 17}, krb.ParseEncTypes("DEFAULT -rc4", []int32{20, 19, 18, 17, 23}))
	require.Equal(t, []int32{18, 23}, krb.ParseEncTypes("aes256-cts, camellia256-cts-cmac, arcfour-hmac", nil))
	require.Empty(t, krb.ParseEncTypes("des", []int32{18}))
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"300": 5 * time.Minute, "10h": 10 * time.Hour, "1d": 24 * time.Hour, "1d 2h": 26 * time.Hour,
		"10:30": 10*time.Hour + 30*time.Minute, "1:00:05": time.Hour + 5*time.Second,
		"": time.Second, "soon": time.Second, "-5m": time.Second,
	} {
		require.Equal(t, want, krb.Duration(text, time.Second), text)
	}
}

func TestPrincipalOf(t *testing.T) {
	for _, tc := range []struct {
		user, own   string
		name, realm string
		err         error
	}{
		{user: "ann", name: "ann", realm: "CORP.EXAMPLE.COM"},
		{user: "ann", own: "LAB.EXAMPLE.COM", name: "ann", realm: "LAB.EXAMPLE.COM"},
		{user: "ann@lab.example.com", name: "ann", realm: "LAB.EXAMPLE.COM"},
		{user: "ann@corp.example.com", name: "ann", realm: "CORP.EXAMPLE.COM"},
		{user: `corp.example.com\ann`, name: "ann", realm: "CORP.EXAMPLE.COM"},
		{user: `CORP\ann`, name: "ann", realm: "CORP.EXAMPLE.COM"},
		{user: `LAB\ann`, err: krb.ErrNoRealm},
		{user: `LAB\ann`, own: "AD.EXAMPLE.COM", name: "ann", realm: "AD.EXAMPLE.COM"},
		{user: "ann/admin", name: "ann/admin", realm: "CORP.EXAMPLE.COM"},
		{user: "jörg", name: "jörg", realm: "CORP.EXAMPLE.COM"},
		{user: "", err: krb.ErrClientUnknown},
		{user: `CORP\`, err: krb.ErrClientUnknown},
		{user: "a\nb", err: krb.ErrClientUnknown},
	} {
		t.Run(tc.user, func(t *testing.T) {
			name, realm, err := krb.PrincipalOf(conf, tc.user, tc.own)
			require.ErrorIs(t, err, tc.err)
			if err == nil {
				require.Equal(t, []string{tc.name, tc.realm}, []string{name, realm})
			}
		})
	}
}

func TestCacheNames(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "primary"), []byte("tkt1\n"), 0o600))
	for _, name := range []string{"tkt0", "tkt1", "other"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	evil := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(evil, "primary"), []byte("tkt/../../x\n"), 0o600))
	for _, tc := range []struct {
		name string
		want []string
		err  error
	}{
		{"/tmp/cc", []string{"FILE:/tmp/cc"}, nil},
		{"FILE:/tmp/cc", []string{"FILE:/tmp/cc"}, nil},
		{"DIR:" + dir, []string{"FILE:" + dir + "/tkt1", "FILE:" + dir + "/tkt0"}, nil},
		{"DIR::/tmp/tkt", []string{"FILE:/tmp/tkt"}, nil},
		{"DIR:/nonexistent", []string{"FILE:/nonexistent/tkt"}, nil},
		{"DIR:" + evil, nil, krb.ErrMalformedFile},
		{"API:x", nil, krb.ErrCacheType},
		{"MEMORY:x", nil, krb.ErrCacheType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := krb.CacheNames(t.Context(), tc.name)
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.want, got)
		})
	}
}
