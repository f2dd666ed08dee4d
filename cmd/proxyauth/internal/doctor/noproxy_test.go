package doctor

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// What net/http makes of an entry is in the comment of golang.org/x/net/http/httpproxy.Config.
func TestBypasses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		entry, target string
		want          bool
	}{
		{"*", "https://example.com/", true},
		{"example.com", "https://example.com/", true},
		{"example.com", "https://www.example.com/", true},
		{"example.com", "https://badexample.com/", false},
		{".example.com", "https://www.example.com/", true},
		{".example.com", "https://example.com/", false},
		{"*.example.com", "https://www.example.com/", true},
		{"*.example.com", "https://example.com/", false},
		{"EXAMPLE.com", "https://example.COM/", true},
		{"example.com:443", "https://example.com/", true},
		{"example.com:443", "https://example.com:8443/", false},
		{"example.com:8443", "https://example.com:8443/", true},
		{"192.0.2.1", "http://192.0.2.1/", true},
		{"192.0.2.1:80", "http://192.0.2.1/", true},
		{"192.0.2.1:81", "http://192.0.2.1/", false},
		{"192.0.2.0/24", "http://192.0.2.1/", true},
		{"192.0.2.0/24", "http://198.51.100.1/", false},
		{"192.0.2.0/24", "http://example.com/", false},
		{"2001:db8::1", "http://[2001:db8::1]/", true},
		{"[2001:db8::1]:80", "http://[2001:db8:0::1]/", true},
		{"", "http://example.com/", false},
		{":80", "http://example.com/", false},
	} {
		target, err := url.Parse(tt.target)
		require.NoError(t, err)
		require.Equal(t, tt.want, bypasses(tt.entry, target), "%s %s", tt.entry, tt.target)
	}
}
