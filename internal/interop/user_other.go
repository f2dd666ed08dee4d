//go:build !linux

package interop

// giveToServer does nothing: servers run as the user of the tests.
func giveToServer(string) error { return nil }

func lendToServer(string) error { return nil }
