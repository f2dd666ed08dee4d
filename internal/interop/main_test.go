package interop_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/interop"
	"github.com/go-proxyauth/proxyauth/internal/secretscan"
)

// TestMain is the program of newNTLMHelper, too. It lets more tests run at once than there are processors: most of their
// time is the 2 s that squid takes to stop.
func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], []string{ntlmHelperArg}) {
		helpWithNTLM(os.Stdin, os.Stdout)
		return
	}
	if err := interop.JoinNewSession(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	forgetKerberos()
	os.Exit(scanned.Report(m.Run()))
}

// scanned looks for passwords in what is logged.
var scanned = secretscan.New([]string{ann.Username, bob.Username}, ann.Password, bob.Password)

// forgetKerberos takes what the machine's user has set out of the environment:
// tests bring their own.
func forgetKerberos() {
	for _, name := range []string{"KRB5_CONFIG", "KRB5CCNAME", "KRB5_KTNAME", "KRB5_CLIENT_KTNAME"} {
		os.Unsetenv(name)
	}
}
