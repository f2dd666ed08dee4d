package proxyauth

import "syscall"

// errno is an error of the system.
type errno = syscall.ErrorString
