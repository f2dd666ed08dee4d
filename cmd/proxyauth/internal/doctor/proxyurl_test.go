package doctor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each kind of mistake has words of its own, which have nothing of the URL.
func TestFlawsOfProxyURLs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want string // of the text of the flaw; empty for none
	}{
		{"http://proxy.example.com:3128", ""},
		{"http://proxy.example.com:3128/", ""},
		{"HTTP://proxy.example.com", ""},
		{"proxy.example.com:3128", ""},
		{"proxy.example.com", ""},
		{"localhost:3128", ""},
		{"http://ann:S3CRET@proxy.example.com:3128", ""},
		{"ann:S3CRET@proxy.example.com:3128", ""},
		{"http://CORP%5Cann:S3CRET%40@proxy.example.com:3128", ""},
		{"http://[2001:db8::1]:3128", ""},
		{"http://ann:S3CRET@[2001:db8::1]", ""},
		{"http://[fe80::1%25eth0]:3128", ""},
		{"socks5h://proxy.example.com:1080", ""},
		{"https://proxy.example.com:", ""},

		{`"http://proxy.example.com:3128"`, "quotation"},
		{`'http://ann:S3CRET@proxy.example.com:3128'`, "quotation"},
		{`http://proxy.example.com:3128"`, "quotation"},
		{" http://proxy.example.com:3128", "blanks"},
		{"http://proxy.example.com:3128\n", "blanks"},
		{"http://ann:S3 CRET@proxy.example.com:3128", "blanks"},
		{"ftp://proxy.example.com:3128", "ftp://"},
		{"socks4://proxy.example.com:1080", "socks4://"},
		{"S3CRET://proxy.example.com:1080", "not one of a proxy"},
		{"htp://proxy.example.com:3128", "not one of a proxy"},
		{"http:/proxy.example.com:3128", "two slashes"},
		{"http:proxy.example.com:3128", "two slashes"},
		{"http:ann:S3CRET@proxy.example.com:3128", "two slashes"},
		{"https:/ann:S3CRET@proxy.example.com", "two slashes"},
		{"http://http://proxy.example.com:3128", "twice"},
		{"https://http://ann:S3CRET@proxy.example.com:3128", "twice"},
		{"http://", "no host"},
		{"http://:3128", "no host"},
		{":3128", "no host"},
		{"http://ann:S3CRET@:3128", "no host"},
		{"http:///proxy.example.com", "no host"},
		{"http://[]:3128", "no host"},
		{"http://proxy.example.com:99999", "from 1 to 65535"},
		{"proxy.example.com:0", "from 1 to 65535"},
		{"http://proxy.example.com:3128x", "from 1 to 65535"},
		{"http://proxy.example.com:S3CRET", "from 1 to 65535"},
		{"http://[2001:db8::1]:99999", "from 1 to 65535"},
		{"http://2001:db8::1:3128", "more than one colon"},
		{"http://ann:S3CRET:proxy.example.com:3128", "more than one colon"},
		{`http://CORP\ann:S3CRET@proxy.example.com:3128`, "user name or password"},
		{"http://ann:S3CRET%zz@proxy.example.com:3128", "user name or password"},
		{"http://ann:S3CRET@x@proxy.example.com:3128", "user name or password"},
		{"http://ann:S3CRET/x@proxy.example.com:3128", "user name or password"},
		{"http://ann:S3CRET#x@proxy.example.com:3128", "user name or password"},
		{"http://ann:S3CRET?x@proxy.example.com:3128", "user name or password"},
		{"ann:S3CRET://x@proxy.example.com:3128", "user name or password"},
		{"http://proxy<example>.com:3128", "host name"},
		{"http://[2001:db8::1:3128", "host name"},
		{"http://proxy%example.com:3128", "host name"},
		{"http://[proxy%25eth0]:3128", "host name"},
		{"http://proxy.example.com,3128", "host name"},
	} {
		u, flaw := parseProxy(tt.text)
		if tt.want == "" {
			require.Nil(t, flaw, tt.text)
			require.NotEmpty(t, u.Hostname(), tt.text)
			continue
		}
		require.NotNil(t, flaw, tt.text)
		require.Contains(t, flaw.text, tt.want, tt.text)
		require.NotContains(t, strings.ToUpper(flaw.text+flaw.fix), "S3CRET")
		require.NotEmpty(t, flaw.fix)
	}
}
