//go:build unix

package boundedfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/boundedfile"
	"github.com/go-proxyauth/proxyauth/internal/sample"
)

// A pipe that nobody writes to, a device that never ends, a terminal.
func TestReadDoesNotWait(t *testing.T) {
	dir := t.TempDir()
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	require.NoError(t, os.Symlink(fifo, link))
	for _, name := range []string{fifo, link, "/dev/zero", "/dev/tty"} {
		_, err := boundedfile.Read(t.Context(), name, 10)
		require.ErrorIs(t, err, boundedfile.ErrNotRegular, name)
	}
}

// The file may become a pipe between the look at it and its opening.
func TestReadWhileTheFileIsSwapped(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "name")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range sample.Size(100, 500) {
			spare := filepath.Join(dir, "spare")
			_ = os.WriteFile(spare, []byte("text"), 0o600)
			_ = os.Rename(spare, name)
			_ = syscall.Mkfifo(spare, 0o600)
			_ = os.Rename(spare, name)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		switch file, err := boundedfile.Read(ctx, name, 10); {
		case err == nil:
			require.Equal(t, "text", string(file.Data))
		case !errors.Is(err, os.ErrNotExist):
			require.ErrorIs(t, err, boundedfile.ErrNotRegular)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
