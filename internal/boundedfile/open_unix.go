//go:build unix

package boundedfile

import "syscall"

// noWait opens a pipe without waiting for its other end, and a terminal without making it
// that of the process.
const noWait = syscall.O_NONBLOCK | syscall.O_NOCTTY
