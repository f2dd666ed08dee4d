package credentials

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// maxFileSize is far beyond any file of credentials.
const maxFileSize = 1 << 20

// readFile reads a regular file, unless its permissions have one of the bits of
// forbidden.
func readFile(path string, forbidden fs.FileMode) ([]byte, error) {
	// Before opening it, since opening a named pipe may wait for ever.
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("proxyauth: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("proxyauth: %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("proxyauth: %w", err)
	}
	defer f.Close()
	if err := checkMode(f, forbidden); err != nil {
		return nil, err
	}
	return readBounded(f)
}

// checkMode looks at the open file, so that it can't be exchanged meanwhile.
func checkMode(f *os.File, forbidden fs.FileMode) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("proxyauth: %w", err)
	}
	// On Windows the bits are made up.
	if mode := info.Mode().Perm(); mode&forbidden != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("proxyauth: permissions %04o of %s are too open (chmod %04o)",
			mode, f.Name(), mode&^forbidden)
	}
	return nil
}

func readBounded(f *os.File) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("proxyauth: %w", err)
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("proxyauth: %s is larger than %d bytes", f.Name(), maxFileSize)
	}
	return data, nil
}
