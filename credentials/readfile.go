package credentials

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"

	"github.com/go-proxyauth/proxyauth/internal/boundedfile"
)

// maxFileSize is far beyond any file of credentials.
const maxFileSize = 1 << 20

// readFile reads a regular file, unless its permissions have one of the bits of
// forbidden.
func readFile(ctx context.Context, path string, forbidden fs.FileMode) (*boundedfile.File, error) {
	f, err := boundedfile.Read(ctx, path, maxFileSize)
	if err != nil {
		return nil, fmt.Errorf("proxyauth: %w", err)
	}
	// On Windows the bits are made up.
	if mode := f.Info.Mode(); mode.IsRegular() && mode.Perm()&forbidden != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("proxyauth: permissions %04o of %s are too open (chmod %04o)",
			mode.Perm(), path, mode.Perm()&^forbidden)
	}
	return f, nil
}
