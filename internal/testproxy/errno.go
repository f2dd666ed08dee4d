//go:build !plan9

package testproxy

import "syscall"

// The errors of a network.
const (
	errAddrInUse   = syscall.EADDRINUSE
	errConnRefused = syscall.ECONNREFUSED
	errConnReset   = syscall.ECONNRESET
	errPipe        = syscall.EPIPE
)
