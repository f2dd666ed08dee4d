//go:build unix

package prompt

import (
	"cmp"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func openDevice(device string) (in, out *os.File, err error) {
	f, err := os.OpenFile(cmp.Or(device, "/dev/tty"), os.O_RDWR|syscall.O_NOCTTY, 0)
	return f, f, err
}

// inBackground reports whether the shell has given the terminal to another job
// than the one the program is part of. Whoever touches it then is stopped with
// SIGTTOU or SIGTTIN, and with it the whole program.
func inBackground(fd int) bool {
	foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil {
		return false // it is not the controlling terminal, which alone has jobs
	}
	own, err := unix.Getpgid(0)
	return err == nil && own != foreground
}

// maxDiscards bounds how much is thrown away for a person who goes on typing.
const maxDiscards = 64

// discard throws away what was typed and not read.
func discard(f *os.File) {
	// Only then does a read not wait.
	if f.SetReadDeadline(time.Time{}) != nil {
		return
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	conn.Read(func(fd uintptr) bool {
		var buffer [256]byte
		for range maxDiscards {
			if n, err := syscall.Read(int(fd), buffer[:]); n <= 0 || err != nil {
				break
			}
		}
		clear(buffer[:])
		return true
	})
}
