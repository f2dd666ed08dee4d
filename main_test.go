package proxyauth_test

import (
	"os"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/leaktest"
	"github.com/go-proxyauth/proxyauth/internal/testproxy"
)

const (
	user       = "ann"
	password   = "s3cret"
	httpOrigin = "http://origin.example.com"
)

// ca is shared, since keys take time to make.
var ca = testproxy.NewCA()

// TestMain fails if the tests leave goroutines behind.
func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
