package boundedfile_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/internal/boundedfile"
	"github.com/go-proxyauth/proxyauth/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }

func TestRead(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(name, []byte("0123456789"), 0o600))
	for _, tt := range []struct {
		desc, name string
		max        int64
		want       string
		err        error
	}{
		{"smaller", name, 11, "0123456789", nil},
		{"as large", name, 10, "0123456789", nil},
		{"too large", name, 9, "", boundedfile.ErrTooLarge},
		{"null device", os.DevNull, 10, "", nil},
		{"directory", dir, 10, "", boundedfile.ErrNotRegular},
		{"missing", filepath.Join(dir, "missing"), 10, "", fs.ErrNotExist},
	} {
		t.Run(tt.desc, func(t *testing.T) {
			file, err := boundedfile.Read(t.Context(), tt.name, tt.max)
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
				require.Nil(t, file)
				require.Equal(t, 1, strings.Count(err.Error(), tt.name))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, string(file.Data))
			require.EqualValues(t, len(file.Data), file.Info.Size())
		})
	}
}

// A read that hangs holds up nobody beyond the end of the context, one thread is lost to
// it and not one for each request, and other files are read.
func TestReadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := make(chan struct{})
		var begun atomic.Int32
		hang := func() error {
			begun.Add(1)
			<-server
			return nil
		}
		var readers sync.WaitGroup
		for range 20 {
			readers.Go(func() {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("too late"))
				defer cancel()
				start := time.Now()
				if err := boundedfile.Do(ctx, "hangs", hang); err == nil || err.Error() != "too late" {
					t.Errorf("error %v", err)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("it took %v", took)
				}
			})
			time.Sleep(2 * time.Second)
		}
		readers.Wait()
		require.EqualValues(t, 1, begun.Load())
		require.NoError(t, boundedfile.Do(t.Context(), "other", func() error { return nil }))

		var waited time.Duration
		readers.Go(func() {
			start := time.Now()
			if err := boundedfile.Do(t.Context(), "hangs", hang); err != nil {
				t.Error(err)
			}
			waited = time.Since(start)
		})
		time.Sleep(time.Minute)
		close(server)
		readers.Wait()
		require.Less(t, waited, time.Minute+time.Second)
		require.EqualValues(t, 2, begun.Load())
	})
}
