package prompt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

var (
	// errNoTerminal means that there is none, or that what was given is
	// something else.
	errNoTerminal = errors.New("there is no terminal to ask on")

	errInBackground = fmt.Errorf("%w: the program runs in the background", errNoTerminal)
)

// A terminal is in raw mode until it is closed: it echoes nothing, and Ctrl-C
// arrives as a character, so that the program does not end with echo off.
type terminal struct {
	in, out *os.File
	before  *term.State
	reader  *reader
	ahead   []byte // read, and not yet part of an answer
}

func openTerminal(ctx context.Context, device string) (*terminal, error) {
	in, out, err := openDevice(device)
	if err != nil {
		return nil, errNoTerminal
	}
	t := &terminal{in: in, out: out, reader: &reader{ctx: ctx, file: in}}
	if err := t.makeRaw(); err != nil {
		t.closeFiles()
		return nil, err
	}
	return t, nil
}

func (t *terminal) makeRaw() error {
	return t.control(func(fd int) (err error) {
		if !term.IsTerminal(fd) {
			return errNoTerminal
		}
		if inBackground(fd) {
			return errInBackground
		}
		t.before, err = term.MakeRaw(fd)
		return err
	})
}

func (t *terminal) close() {
	t.control(func(fd int) error { return term.Restore(fd, t.before) })
	t.closeFiles()
}

// control calls f with the file descriptor. File.Fd would make reads block.
func (t *terminal) control(f func(fd int) error) error {
	conn, err := t.in.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := conn.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil {
		return err
	}
	return result
}

func (t *terminal) closeFiles() {
	t.in.Close()
	if t.out != t.in {
		t.out.Close()
	}
}

// write writes text, in which a line ends with a line feed.
func (t *terminal) write(text string) {
	io.WriteString(t.out, strings.ReplaceAll(text, "\n", "\r\n"))
}

// readLine asks for a line, which is shown with echo.
func (t *terminal) readLine(prompt string, echo bool) (string, error) {
	l := &line{prompt: prompt, echo: echo, out: t.out}
	return l.read(t.readByte)
}

func (t *terminal) readByte() (byte, error) {
	if len(t.ahead) == 0 {
		n := 1 // what comes behind the answer is for others
		if !t.reader.interruptible() {
			n = maxLine
		}
		buffer := make([]byte, n)
		n, err := t.reader.Read(buffer)
		if t.ahead = buffer[:n]; n == 0 {
			return 0, cmp.Or(err, io.ErrNoProgress)
		}
	}
	b := t.ahead[0]
	t.ahead = t.ahead[1:]
	return b, nil
}

// A reader reads until its context ends.
type reader struct {
	ctx  context.Context
	file *os.File
}

// interruptible reports whether a read can be interrupted.
func (r *reader) interruptible() bool { return r.file.SetReadDeadline(time.Time{}) == nil }

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	if !r.interruptible() {
		return r.readAside(p)
	}
	stop := context.AfterFunc(r.ctx, func() { r.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	n, err := r.file.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, context.Cause(r.ctx)
	}
	return n, wrapRead(err)
}

// readAside leaves the read behind when the context ends, as it can't be
// interrupted.
func (r *reader) readAside(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data := make([]byte, len(p))
		n, err := r.file.Read(data)
		done <- result{data[:n], err}
	}()
	select {
	case res := <-done:
		return copy(p, res.data), wrapRead(res.err)
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
}

func wrapRead(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("reading from the terminal: %w", err)
}
