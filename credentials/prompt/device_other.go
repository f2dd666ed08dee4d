//go:build !unix && !windows

package prompt

import "os"

func openDevice(string) (in, out *os.File, err error) {
	return nil, nil, errNoTerminal
}

func inBackground(int) bool { return false }

func discard(*os.File) {}
