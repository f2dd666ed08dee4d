package interop

import (
	"os"
	"os/exec"
	"syscall"
)

// setAttributes makes the server the leader of a process group of its own, which
// holds its helpers too, and lets it die with a test run that is killed.
func setAttributes(cmd *exec.Cmd, privileged bool) error {
	credential, err := serverCredential()
	if err != nil {
		return err
	}
	if privileged {
		credential = nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGTERM,
		Credential: credential,
	}
	return nil
}

func terminate(p *os.Process, gracefully bool) error {
	if gracefully {
		return p.Signal(syscall.SIGWINCH)
	}
	return p.Signal(syscall.SIGTERM)
}

// killGroup ends helpers that outlive their server.
func killGroup(leader *os.Process) {
	// An error says that there are none.
	_ = syscall.Kill(-leader.Pid, syscall.SIGKILL)
}
