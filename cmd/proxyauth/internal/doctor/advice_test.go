package doctor

import (
	"errors"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate"
)

// What to do about a failure of Kerberos names nothing that only the author of a program can set.
func TestKerberosFixesNameNoFields(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../../../schemes/negotiate/errors.go")
	require.NoError(t, err)
	codes := regexp.MustCompile(`Code = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(codes), 20)
	d := &diagnosis{report: &Report{Proxy: &Proxy{Source: "HTTPS_PROXY"}}}
	for _, c := range codes {
		fix := d.codeFix(&negotiate.Error{Code: negotiate.Code(c[1]), Err: errors.New("x: set InsecureOmitChannelBindings")})
		require.NotEmpty(t, fix, c[1])
		require.NotRegexp(t, `\b[a-zA-Z]+\.[A-Z][a-z]|Insecure|Canonicalize|RequireMutual|\bSPN\b`, fix, c[1])
	}
}
