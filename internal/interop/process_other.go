//go:build !linux

package interop

import (
	"os"
	"os/exec"
)

func setAttributes(*exec.Cmd, bool) error { return nil }

// terminate asks the server to stop where the system knows how to ask.
func terminate(p *os.Process, _ bool) error {
	if err := p.Signal(os.Interrupt); err != nil {
		return p.Kill()
	}
	return nil
}

func killGroup(*os.Process) {}
