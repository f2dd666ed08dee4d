package krb

import (
	"cmp"
	"context"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// A cacheType reads the ticket caches of one type. It changes nothing in them.
type cacheType interface {
	// collection yields the full names of the caches that a name, without its type,
	// stands for: one, or those of a collection, of which the first one is the primary
	// cache.
	collection(ctx context.Context, name string) iter.Seq2[string, error]

	// read returns what is in the cache of a name, without its type. The error wraps
	// fs.ErrNotExist if there is no such cache.
	read(ctx context.Context, name string) (contents, error)
}

// contents are the octets of a ticket cache, in the format of a file.
type contents struct {
	data []byte

	// current reports whether the cache has not changed since.
	current func(context.Context) bool
}

// cacheType returns the type of the ticket cache of that name, and the rest of the name.
func (c *conf) cacheType(name string) (kind cacheType, rest string, err error) {
	text, rest := splitType(name)
	switch text {
	case "FILE":
		return fileCaches{}, rest, nil
	case "DIR":
		return dirCaches{}, rest, nil
	case "KCM":
		if runtime.GOOS != "windows" {
			return kcm{socket: cmp.Or(c.kcmSocket, defaultKCMSocket)}, rest, nil
		}
	case "KEYRING":
		if runtime.GOOS == "linux" {
			return keyrings{}, rest, nil
		}
	}
	return nil, "", because(ErrCacheType, "%s: %s", name, otherReader(text, runtime.GOOS))
}

// otherReader says of a type of ticket cache that can't be read on a system what to do
// there.
func otherReader(kind, goos string) string {
	switch kind {
	case "API", "XCACHE":
		if goos == "darwin" {
			return "only macOS's own GSS framework reads it, and kinit -c FILE:/path/of/a/file writes one that can be read"
		}
		return "it exists on macOS only"
	case "MSLSA":
		if goos == "windows" {
			return "the tickets of the logon session are used by SSPI, with negotiate.Scheme.Engine"
		}
		return "it exists on Windows only"
	case "KEYRING":
		return "keyrings exist on Linux only"
	case "KCM":
		return "there is no KCM daemon on Windows"
	case "MEMORY":
		return "it exists in the memory of one program only"
	}
	return "a type that is not known"
}

// fileCaches are the caches of type FILE.
type fileCaches struct{}

func (fileCaches) collection(_ context.Context, path string) iter.Seq2[string, error] {
	return only("FILE:"+path, nil)
}

func (fileCaches) read(ctx context.Context, path string) (contents, error) {
	data, st, err := readFile(ctx, path, maxCacheSize)
	return contents{data, func(context.Context) bool { return st.current() }}, err
}

// only yields one name.
func only(name string, err error) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield(name, err) }
}

// dirCaches are the caches of type DIR: the files of a directory, of which the file
// primary names one. A name behind a further colon is of one file.
type dirCaches struct{ fileCaches }

func (dirCaches) collection(ctx context.Context, dir string) iter.Seq2[string, error] {
	if file, ok := strings.CutPrefix(dir, ":"); ok {
		return only("FILE:"+file, nil)
	}
	primary, err := primaryOf(ctx, dir)
	if err != nil {
		return only("", err)
	}
	return func(yield func(string, error) bool) {
		if !yield("FILE:"+primary, nil) {
			return
		}
		others, err := os.ReadDir(dir)
		if err != nil {
			return // the primary cache's error says more
		}
		for _, other := range others {
			path := filepath.Join(dir, other.Name())
			if strings.HasPrefix(other.Name(), "tkt") && path != primary && !yield("FILE:"+path, nil) {
				return
			}
		}
	}
}

// primaryOf returns the file of the primary cache of a directory.
func primaryOf(ctx context.Context, dir string) (string, error) {
	data, _, err := readFile(ctx, filepath.Join(dir, "primary"), 4096)
	if os.IsNotExist(err) {
		return filepath.Join(dir, "tkt"), nil
	}
	if err != nil {
		return "", err
	}
	primary := strings.TrimSpace(string(data))
	if !strings.HasPrefix(primary, "tkt") || filepath.Base(primary) != primary {
		return "", malformed(filepath.Join(dir, "primary"), "no name of a ticket cache")
	}
	return filepath.Join(dir, primary), nil
}

// fileFormat returns the octets of a file, version 4, with a principal and credentials in
// the encoding of that version.
func fileFormat(principal []byte, credentials [][]byte) []byte {
	data := append([]byte{5, 4, 0, 0}, principal...)
	for _, c := range credentials {
		data = append(data, c...)
	}
	return data
}
