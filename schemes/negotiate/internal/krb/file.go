package krb

import (
	"context"
	"errors"
	"sync"

	"github.com/go-proxyauth/proxyauth/internal/boundedfile"
	"github.com/go-proxyauth/proxyauth/internal/onecall"
)

// readFile reads a file of at most limit octets.
func readFile(ctx context.Context, name string, limit int64) ([]byte, stamp, error) {
	f, err := boundedfile.Read(ctx, name, limit)
	switch {
	case errors.Is(err, boundedfile.ErrNotRegular):
		return nil, stamp{}, malformed(name, "not a file")
	case errors.Is(err, boundedfile.ErrTooLarge):
		return nil, stamp{}, malformed(name, "too long")
	case err != nil:
		return nil, stamp{}, err
	}
	return f.Data, stamp{name: name, info: f.Info}, nil
}

// A keytabFile is the keytab in use, read again when it has changed.
type keytabFile struct {
	loads onecall.Group[string, keytab] // by path

	mu  sync.Mutex
	st  stamp
	tab keytab
}

// load returns the keytab of that path, as that of confFile does.
func (f *keytabFile) load(ctx context.Context, path string) (keytab, error) {
	return f.loads.Do(ctx, path, onecall.Options{}, func(ctx context.Context) (keytab, error) { return f.read(ctx, path) })
}

func (f *keytabFile) read(ctx context.Context, path string) (keytab, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tab != nil && f.st.name == path && f.st.current() {
		return f.tab, nil
	}
	f.tab = nil
	data, st, err := readFile(ctx, path, maxKeytabSize)
	if err != nil {
		return nil, err
	}
	tab, err := parseKeytab(path, data)
	if err != nil {
		return nil, err
	}
	f.st, f.tab = st, tab
	return tab, nil
}
