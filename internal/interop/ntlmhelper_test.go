package interop_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/internal/testproxy/ntlmserver"
)

// ntlmHelperArg makes the test binary a helper program of squid's.
const ntlmHelperArg = "ntlm-helper"

// newNTLMHelper returns the command line of a helper that verifies NTLM, of
// which squid has none that works without a domain.
func newNTLMHelper(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	binary, err := os.ReadFile(self)
	require.NoError(t, err)
	// The directory of the test binary is for the tests' user alone.
	path := interop.NewDir(t).Write("helper", string(binary))
	require.NoError(t, os.Chmod(path, 0o700))
	return path + " " + ntlmHelperArg
}

// helpWithNTLM speaks squid's protocol of helpers for NTLM: YR and KK bring a
// client's messages, the first of a handshake and the next, TT takes one back.
func helpWithNTLM(in io.Reader, out io.Writer) {
	server := &ntlmserver.Server{
		Users:      map[string]string{ann.Username: ann.Password, bob.Username: bob.Password},
		RequireMIC: true,
	}
	handshake := server.NewContext(nil)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		kind, text, _ := strings.Cut(lines.Text(), " ")
		if kind == "YR" {
			handshake = server.NewContext(nil)
		}
		message, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			fmt.Fprintln(out, "BH", err)
			continue
		}
		answer, done, err := handshake.Accept(message)
		switch {
		case err != nil:
			fmt.Fprintln(out, "NA", err)
		case done:
			fmt.Fprintln(out, "AF", handshake.User())
		default:
			fmt.Fprintln(out, "TT", base64.StdEncoding.EncodeToString(answer))
		}
	}
}
