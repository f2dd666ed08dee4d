//go:build !unix

package credentials_test

import "testing"

// promptSources needs pseudo-terminals.
func promptSources(*testing.T) map[string]source { return nil }
