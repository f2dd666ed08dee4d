package tunnelpool_test

import (
	"os"
	"testing"

	"github.com/go-proxyauth/proxyauth/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
