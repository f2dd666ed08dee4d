package krb

import (
	"context"
	"errors"
	"sync"
	"time"

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

// A cacheFile is the ticket cache in use. It is read again when it has changed,
// and what came of the old one is dropped with it.
type cacheFile struct {
	loads onecall.Group[string, openedCache] // by path

	mu sync.Mutex
	st stamp
	openedCache
}

// An openedCache is a ticket cache, nil if none has been read, and what came of it.
type openedCache struct {
	held *cache
	id   *identity
}

// load returns the ticket cache of that path. A file system that does not answer holds up
// nobody beyond the end of ctx.
func (f *cacheFile) load(ctx context.Context, path string) (*cache, *identity, error) {
	opened, err := f.loads.Do(ctx, path, onecall.Options{}, func(ctx context.Context) (openedCache, error) {
		return f.read(ctx, path)
	})
	return opened.held, opened.id, err
}

func (f *cacheFile) read(ctx context.Context, path string) (openedCache, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held != nil && f.st.name == path && f.st.current() {
		return f.openedCache, nil
	}
	f.openedCache = openedCache{}
	data, st, err := readFile(ctx, path, maxCacheSize)
	if err != nil {
		return openedCache{}, err
	}
	held, err := parseCache(path, data)
	if err != nil {
		return openedCache{}, err
	}
	f.st, f.openedCache = st, openedCache{held, held.identity()}
	return f.openedCache, nil
}

// forget makes the file be read again.
func (f *cacheFile) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.openedCache = openedCache{}
}

// identity returns an identity with the service tickets of the cache, which
// spare the KDC a question.
func (c *cache) identity() *identity {
	id := &identity{}
	now := time.Now()
	for _, cred := range c.tickets {
		if _, tgt := isTicketGranting(cred.ticket.SName); tgt || !cred.valid(now) {
			continue
		}
		// Whether or not krb5.conf tells the realm of the host.
		for _, realm := range []string{"", cred.ticket.Realm} {
			s := service{name: cred.ticket.SName, realm: realm}
			*id.slot(s.key()) = slot{cred: cred, retry: cred.end}
		}
	}
	return id
}

// A keytabFile is the keytab in use, read again when it has changed.
type keytabFile struct {
	loads onecall.Group[string, keytab] // by path

	mu  sync.Mutex
	st  stamp
	tab keytab
}

// load returns the keytab of that path, as cacheFile's does.
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
