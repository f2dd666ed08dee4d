package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/testproxy/kdc"
)

var update = flag.Bool("update", false, "write what doctor prints into the README")

const readme = "../../README.md"

// The README shows what doctor prints where a proxy has no service principal.
func TestReadmeShowsWhatDoctorPrints(t *testing.T) {
	t.Parallel()
	k := newKerberosLab(t, nil)
	k.kinit(t, kdc.CCache{})
	k.Remove(proxySPN)
	c := k.doctor("")
	c.args = []string{"doctor", spnFlag, "https://origin.invalid/"}
	c.env = append(c.env, "HTTPS_PROXY="+k.proxy.URL().String())
	got := c.run(t)
	require.Equal(t, exitFinding, got.exit)
	shown := "```\n$ proxyauth doctor https://example.com/\n" + k.named(got.stdout) + "```\n"

	data, err := os.ReadFile(readme)
	require.NoError(t, err)
	text := string(data)
	begin := strings.Index(text, "```\n$ proxyauth doctor ")
	require.Positive(t, begin, "the README has no capture")
	end := begin + 4 + strings.Index(text[begin+4:], "```\n") + 4
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(text[:begin]+shown+text[end:]), 0o644))
		return
	}
	require.Equal(t, shown, text[begin:end], "go test ./cmd/proxyauth -run Readme -update")
}

var (
	otherCache = regexp.MustCompile(`(?m)^ *also seen .*\n`)
	duration   = regexp.MustCompile(`\(\d+(\.\d+)?(µs|ms|s)\)`)
	clockTime  = regexp.MustCompile(`until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	netrcFile  = regexp.MustCompile(`netrc: \S+`)
	trailing   = regexp.MustCompile(`(?m) +$`)
)

// named returns what doctor has printed in the lab with names in place of addresses, and times
// that are always the same.
func (k *kerberosLab) named(text string) string {
	text = strings.NewReplacer(
		"connections: "+k.proxy.Addr(), "connections: 192.0.2.7:3128",
		k.proxy.Addr(), "proxy.example.com:3128",
		k.Addr(), "kdc.example.com:88",
		"origin.invalid", "example.com",
		k.conf, "/etc/krb5.conf",
		k.tickets, "/tmp/krb5cc_1000",
	).Replace(text)
	text = otherCache.ReplaceAllString(text, "")
	text = duration.ReplaceAllString(text, "(1ms)")
	text = clockTime.ReplaceAllString(text, "until 2026-01-01 18:00:00")
	text = netrcFile.ReplaceAllString(text, "netrc: /home/ann/.netrc")
	return trailing.ReplaceAllString(text, "")
}
