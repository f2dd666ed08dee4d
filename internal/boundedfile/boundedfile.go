// Package boundedfile reads configuration files in bounded time and memory, whatever
// their names lead to: a named pipe, a device, a file on a server that does not answer.
package boundedfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// Errors of Read, which wraps them with the name.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("too large")
)

// A File is what was read.
type File struct {
	Data    []byte
	Info    fs.FileInfo // of the open file
	Changed time.Time   // when the file or its directory, with all names in it, was last changed
}

// Read reads a regular file of at most max bytes. The null device counts as an empty file.
// Anything else is [ErrNotRegular] at once, also if it takes the place of a file just
// before it is opened.
//
// The end of ctx ends the wait with its cause. A read that does not come to an end is
// left behind, and the next one of the same name begins when it has ended.
func Read(ctx context.Context, name string, max int64) (*File, error) {
	return leftBehind.do(ctx, name, func() (*File, error) { return read(name, max) })
}

func read(name string, max int64) (*File, error) {
	// Merely to open a device may have an effect.
	info, err := os.Stat(name)
	if err == nil {
		err = check(name, info)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil {
		err = check(name, info)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		err = fmt.Errorf("%s is %w: more than %d bytes", name, ErrTooLarge, max)
	}
	if err != nil {
		return nil, err
	}
	changed := info.ModTime()
	if dir, err := os.Stat(filepath.Dir(name)); err == nil && dir.ModTime().After(changed) {
		changed = dir.ModTime()
	}
	return &File{data, info, changed}, nil
}

func check(name string, info fs.FileInfo) error {
	if info.Mode().IsRegular() || name == os.DevNull && info.Mode()&fs.ModeDevice != 0 {
		return nil
	}
	return fmt.Errorf("%s is %w", name, ErrNotRegular)
}

// pollEvery is how often is looked whether a read that was left behind has ended. (A
// channel would not do: the reads of several bubbles of testing/synctest may meet here.)
const pollEvery = 20 * time.Millisecond

// leftBehind are the reads that nobody waits for. Each may hold a thread.
var leftBehind = reads{count: make(map[string]int)}

type reads struct {
	mu    sync.Mutex
	count map[string]int // by name
}

// do returns what read returns. The end of ctx leaves it behind.
func (r *reads) do(ctx context.Context, name string, read func() (*File, error)) (*File, error) {
	if err := r.wait(ctx, name); err != nil {
		return nil, err
	}
	f, err, left := onecall.Go(ctx, read, func(*File) { r.add(name, -1) })
	if left {
		r.add(name, 1)
	}
	return f, err
}

// add adds n, which may be negative: a read may end before it is known to be left behind.
func (r *reads) add(name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count[name] += n; r.count[name] == 0 {
		delete(r.count, name)
	}
}

func (r *reads) any(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[name] > 0
}

// wait waits until no read of that name is left behind.
func (r *reads) wait(ctx context.Context, name string) error {
	for r.any(name) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollEvery):
		}
	}
	return nil
}
