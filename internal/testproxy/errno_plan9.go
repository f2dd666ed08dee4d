package testproxy

import "syscall"

// The errors of a network.
const (
	errAddrInUse   = syscall.ErrorString("address already in use")
	errConnRefused = syscall.ErrorString("connection refused")
	errConnReset   = syscall.ErrorString("connection reset by peer")
	errPipe        = syscall.ErrorString("broken pipe")
)
