package negotiate_test

import (
	"os"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/leaktest"
	"github.com/go-proxyauth/proxyauth/internal/secretscan"
)

func TestMain(m *testing.M) { os.Exit(scanned.Report(leaktest.Run(m))) }

// scanned looks for passwords in errors.
var scanned = secretscan.New([]string{"ann", "bob"}, "s3cret")
