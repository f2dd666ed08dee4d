package doctor

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth"
)

func TestHeaderShowsNoSecret(t *testing.T) {
	t.Parallel()
	var s secrecy
	s.hide(proxyauth.Credentials{Username: "ann", Password: proxyauth.NewSecret("s3cret/1")})
	pair := base64.StdEncoding.EncodeToString([]byte("ann:s3cret/1"))
	require.Equal(t, []string{
		`Proxy-Authenticate: Basic realm="lab"`,
		"Proxy-Authenticate: Negotiate [token]",
		"Proxy-Authenticate: [removed]",
		"Proxy-Authentication-Info: [removed]",
		"Server: squid",
		"Set-Cookie: [removed]",
		"X-1: [removed]",
		"X-2: [removed]",
		"X-3: [removed]",
		"X-4: ?[31mred",
	}, s.header(http.Header{
		"Proxy-Authenticate":        {`Basic realm="lab"`, "Negotiate YIGDoYGAMH4=", `Digest realm="S3CRET/1"`},
		"Proxy-Authentication-Info": {`rspauth="0123"`},
		"Set-Cookie":                {"session=1"},
		"Server":                    {"squid"},
		"X-1":                       {"s3cret/1"},
		"X-2":                       {"s3cret%2F1"},
		"X-3":                       {"Basic " + pair},
		"X-4":                       {"\x1b[31mred"},
	}))
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a?b?c?ü", printable("a\nb\x1bc\xffü"))
	require.Len(t, printable(strings.Repeat("a", 1<<20)), 1<<10+len("…"))
}

// The fields of a user without a password hide nothing.
func TestNoPasswordIsNoSecret(t *testing.T) {
	t.Parallel()
	var s secrecy
	s.hide(proxyauth.Credentials{Username: "ann"})
	require.Equal(t, "ann", s.clean("ann"))
}
